"""The parent: it holds the connection and the events, runs no user code, and decides what becomes of each."""
