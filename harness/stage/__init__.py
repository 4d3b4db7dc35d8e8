"""A stage: where a choreography runs."""
