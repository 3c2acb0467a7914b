"""The child: it imports the application, takes lists of events, and returns outcomes."""
