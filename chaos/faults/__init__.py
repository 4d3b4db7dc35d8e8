"""The faults, one target a module; a fault's constructor is its documentation, its kind the row in the table."""
