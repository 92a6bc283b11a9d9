"""How good a predictor is on rows that it has not seen, beside floors on the same rows."""
