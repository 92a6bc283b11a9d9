"""What would become of records, told before a producer goes live: `nextact contract check`."""
