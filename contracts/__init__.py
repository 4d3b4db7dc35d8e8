"""Say what events must look like and who relies on it."""
