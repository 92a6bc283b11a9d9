"""Networks that make the state of a user from its events: one interface, four published ways."""
