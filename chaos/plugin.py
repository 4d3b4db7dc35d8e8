"""The pytest plugin; light, so that it costs nothing until it is used."""
