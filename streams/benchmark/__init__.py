"""`nextact benchmark`: the pipeline's cost, measured on a real broker, its state checked against a plain fold."""
