"""RabbitMQ 3.10's delivery semantics as an executable specification.

Sans-I/O: bytes in, bytes out, state as tables. ``broker`` is the whole and ``connection`` one client's part of it;
``channel``, ``topology`` and ``publishing`` are the protocol's methods; ``virtual_host``, ``exchanges``, ``queues`` and
``dead_letters`` are what the methods act upon; ``message``, ``tables`` and ``frames`` are bytes.
``features`` says what is modelled.
"""

from misstep.harness.brokers.rabbitmq.model.broker import VERSION, Broker, Refusal, Tuning, counted_names
from misstep.harness.brokers.rabbitmq.model.connection import Connection

__all__ = ["VERSION", "Broker", "Connection", "Refusal", "Tuning", "counted_names"]
