"""The way in: from a payload to a broker that has it on disk."""
