"""Brokers: the port every broker answers, and its adapters."""
