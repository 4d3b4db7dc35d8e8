"""What happened: an append-only record, with causes."""
