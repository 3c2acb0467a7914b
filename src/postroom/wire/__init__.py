"""What travels: an event's bytes and metadata, and the codec between them and typed payloads."""
