"""A page about a trained model: `models.report` as pictures and tables in one HTML file."""
