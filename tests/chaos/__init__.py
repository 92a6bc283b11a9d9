"""Faults on a real cluster, one after another, and whether the state and the outputs come out the same."""
