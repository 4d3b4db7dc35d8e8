"""Histories: names, causes, what a recorder writes down."""
