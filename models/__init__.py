"""What is predicted: user state, windows, network, heads, training, simulator. No Kafka, no clock, no environment."""
