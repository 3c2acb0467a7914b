"""The files for production, made from the registry and the settings: one module an output."""
