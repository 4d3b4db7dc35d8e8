"""The search for the smallest plan that breaks a choreography."""
