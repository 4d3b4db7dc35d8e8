"""Planted bugs: each found by the checker that exists for it, each cure clean."""
