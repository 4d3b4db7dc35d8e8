"""AMQP 0-9-1 (the protocol of RabbitMQ) as a sans-I/O session."""
