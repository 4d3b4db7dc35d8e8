"""RabbitMQ: an executable model of it, and the ways to have a real one."""
