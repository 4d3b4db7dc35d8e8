"""What the four services of the order saga share: events, topology, store, inbox, outbox, and how a service runs."""
