"""Run a choreography, record what happens, and judge it."""
