"""`python -m streams.metrics` writes the page of the metrics."""

from streams.metrics.page import PATH, page

if __name__ == "__main__":
    PATH.write_text(page())
