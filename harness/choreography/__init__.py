"""The choreography: the system under test, as declared in a file or in code, and what its texts mean."""
