"""The faults, one kind a module."""
