"""The numbers behind the pages about a trained model: what it said of the scored rows of a log, and what came."""
