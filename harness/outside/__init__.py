"""What stimulates a choreography and looks at it from outside: drivers, externals, effects, probes and views."""
