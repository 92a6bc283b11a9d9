"""What moves: the Faust app, the chunk path, producers, metrics, the command line."""
