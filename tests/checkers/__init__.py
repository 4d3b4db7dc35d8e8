"""Checkers: each made to fail, to pass, to see nothing, and not to be asked."""
