"""What a person reads: tables, timelines, failures."""
