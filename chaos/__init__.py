"""Make things go wrong, and search for the smallest way."""
