"""Stores: the databases that services write to."""
