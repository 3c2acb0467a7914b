"""Where events wait. Every broker speaks the protocols of ``brokers.base`` and passes one conformance suite."""
