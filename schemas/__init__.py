"""What crosses the wire: events, outputs, dead letters, topics."""
