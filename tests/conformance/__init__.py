"""The broker model and a real RabbitMQ, asked the same and compared."""
