"""What operators do and see: figures, dead letters, pauses, diagnoses. Values in and out, nothing printed."""
