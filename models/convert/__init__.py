"""Public logs to EVENTS, one module a log. Each `convert` says what it dropped, and why."""
