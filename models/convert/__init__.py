"""Public logs to EVENTS, one module a log."""
