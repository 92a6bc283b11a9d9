"""The contract as it was in each version, and what proves that today's code keeps it."""
