"""The harness's own commands, one a module."""
