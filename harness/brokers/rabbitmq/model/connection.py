"""The server's side of one connection: greeting, login, tuning, channels, heartbeats, and its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from misstep.harness.brokers.rabbitmq.model import frames
from misstep.harness.brokers.rabbitmq.model.channel import Channel
from misstep.harness.brokers.rabbitmq.model.errors import AmqpError
from misstep.harness.brokers.rabbitmq.model.frames import Frame, FrameReader
from misstep.harness.brokers.rabbitmq.model.tables import plain, split
from misstep.harness.brokers.rabbitmq.model.virtual_host import VirtualHost
from pamqp import base, commands

if TYPE_CHECKING:
    from misstep.harness.brokers.rabbitmq.model.broker import Broker

_SMALLEST_FRAME_MAX = 4096
_CLOSING_TIMEOUT = 30.0
_CAPABILITIES = {
    "publisher_confirms": True,
    "exchange_exchange_bindings": True,
    "basic.nack": True,
    "consumer_cancel_notify": True,
    "connection.blocked": True,
    "consumer_priorities": True,
    "authentication_failure_close": True,
    "per_consumer_qos": True,
    "direct_reply_to": False,
}

GREETING, STARTING, TUNING, OPENING, RUNNING, CLOSING, CLOSED = (
    "greeting",
    "starting",
    "tuning",
    "opening",
    "running",
    "closing",
    "closed",
)


class Connection:
    """One client's connection.

    Attributes:
        broker: The broker it is connected to.
        name: Who the client is, for reports.
        vhost: The virtual host it opened; None before.
        user: Who logged in; empty before.
        state: Where in its life it is.
        frame_max: The largest frame agreed on, in bytes.
        channel_max: The most channels agreed on.
        heartbeat: The heartbeat agreed on, in seconds; 0 for none.
        capabilities: What the client says it can do.
    """

    def __init__(self, broker: Broker, name: str) -> None:
        self.broker = broker
        self.name = name
        self.vhost: VirtualHost | None = None
        self.user = ""
        self.state = GREETING
        self.frame_max = broker.tuning.frame_max
        self.channel_max = broker.tuning.channel_max
        self.heartbeat = 0
        self.capabilities: dict[str, object] = {}
        self.channels: dict[int, Channel] = {}
        self._reader = FrameReader()
        self._out: list[bytes] = []
        self._heard = self._spoke = broker.clock.now

    # Bytes in, bytes out

    def receive(self, data: bytes, now: float) -> None:
        """Take in what the client sent; ``now`` is the time in seconds."""
        clock = self.broker.clock
        clock.now = self._heard = max(now, clock.now)
        self._reader.feed(data)
        if self.state == GREETING and not self._greet():
            return
        try:
            for frame in self._reader.frames(self.frame_max or 2**32):
                self._handle(frame)
                if self.state == CLOSED:
                    return
        except AmqpError as error:
            self.fail(error)

    def outgoing(self) -> bytes:
        """Return what is to be sent, and forget it."""
        data = b"".join(self._out)
        self._out.clear()
        if data:
            self._spoke = self.broker.clock.now
        return data

    def write(self, data: bytes) -> None:
        """Add bytes to what is to be sent."""
        self._out.append(data)
        self.broker.wake(self)

    def send(self, channel: int, method: base.Frame) -> None:
        """Add a method to what is to be sent."""
        self.write(frames.method_frame(channel, method))

    @property
    def closed(self) -> bool:
        """Whether the transport is to be closed once everything is sent."""
        return self.state == CLOSED

    # Frames

    def _greet(self) -> bool:
        greeting = self._reader.preamble()
        if greeting is None:
            return False
        if greeting != frames.PREAMBLE:
            self.write(frames.PREAMBLE)
            self._end()
            return False
        self.state = STARTING
        properties: Any = {
            "product": "RabbitMQ",
            "version": self.broker.version,
            "platform": "misstep's model of it",
            "capabilities": dict(_CAPABILITIES),
            "cluster_name": "misstep",
        }
        self.send(0, commands.Connection.Start(0, 9, properties, "AMQPLAIN PLAIN", "en_US"))
        return True

    def _handle(self, frame: Frame) -> None:
        if frame.kind == frames.HEARTBEAT:
            return
        if frame.channel == 0:
            self._handle_own(frame)
        elif self.state == RUNNING:
            self._handle_channel(frame)
        elif self.state != CLOSING:
            raise AmqpError(504, f"{frames.snippet(frame.kind, frame.payload)} while {self.state}")

    def _handle_own(self, frame: Frame) -> None:
        if frame.kind != frames.METHOD:
            raise AmqpError(505, frames.snippet(frame.kind, frame.payload))
        method = frames.decode_method(frame.payload)
        handler = _HANDLERS.get((self.state, type(method))) or _HANDLERS.get(("", type(method)))
        try:
            if handler is not None:
                handler(self, method, frame.payload)
            elif self.state != CLOSING:
                raise AmqpError(504, f"unexpected method in connection state {self.state}")
        except AmqpError as error:
            self.fail(error, method)

    def _handle_channel(self, frame: Frame) -> None:
        channel = self.channels.get(frame.channel)
        if channel is None:
            channel = self._new_channel(frame)
        method: base.Frame | None = None
        try:
            if frame.kind == frames.METHOD:
                method = frames.decode_method(frame.payload)
            channel.handle(frame.kind, method, frame.payload)
        except AmqpError as error:
            method = channel.pending or method
            if error.hard:
                self.fail(error, method)
            else:
                self._note(error, method)
                channel.fail(error, method)

    def _new_channel(self, frame: Frame) -> Channel:
        if self.channel_max and len(self.channels) >= self.channel_max:
            raise AmqpError(
                530,
                f"number of channels opened ({len(self.channels)}) has reached the negotiated channel_max "
                f"({self.channel_max})",
            )
        channel = self.channels[frame.channel] = Channel(self, frame.channel)
        return channel

    # The handshake

    def _start_ok(self, method: commands.Connection.StartOk, payload: bytes) -> None:
        properties = plain(split(frames.arguments_at_end(payload, 0, -2)))
        capabilities = properties.get("capabilities")
        self.capabilities = capabilities if isinstance(capabilities, dict) else {}
        given = properties.get("connection_name")
        self.name = str(given) if given else self.name
        user = self._login(method.mechanism, method.response)
        if user is None:
            raise AmqpError(
                403,
                f"Login was refused using authentication mechanism {method.mechanism}. "
                "For details see the broker logfile.",
            )
        self.user = user
        self.state = TUNING
        tuning = self.broker.tuning
        self.send(0, commands.Connection.Tune(tuning.channel_max, tuning.frame_max, tuning.heartbeat))

    def _login(self, mechanism: str, response: str | bytes) -> str | None:
        raw = response.encode("utf-8", "surrogateescape") if isinstance(response, str) else bytes(response)
        if mechanism == "PLAIN":
            parts = raw.decode("utf-8", "replace").split("\0")
            user, password = (parts[1], parts[2]) if len(parts) == 3 else ("", "")
        elif mechanism == "AMQPLAIN":
            login = plain(split(raw))
            user, password = str(login.get("LOGIN", "")), str(login.get("PASSWORD", ""))
        else:
            raise AmqpError(503, f"unknown authentication mechanism '{mechanism}'")
        return user if user in self.broker.users and self.broker.users[user] == password else None

    def _tune_ok(self, method: commands.Connection.TuneOk, _: bytes) -> None:
        tuning = self.broker.tuning
        _check_tuned("frame_max", method.frame_max, _SMALLEST_FRAME_MAX, tuning.frame_max)
        _check_tuned("channel_max", method.channel_max, 1, tuning.channel_max)
        self.frame_max, self.channel_max = method.frame_max, method.channel_max
        self.heartbeat = method.heartbeat
        self.state = OPENING

    def _open(self, method: commands.Connection.Open, _: bytes) -> None:
        self.vhost = self.broker.vhosts.get(method.virtual_host)
        if self.vhost is None:
            raise AmqpError(530, f"vhost {method.virtual_host} not found")
        self.state = RUNNING
        self.send(0, commands.Connection.OpenOk())

    # The end

    def _close(self, _: base.Frame, __: bytes) -> None:
        self._release()
        self.send(0, commands.Connection.CloseOk())
        self._await_end()

    def _close_ok(self, _: base.Frame, __: bytes) -> None:
        self._end()

    def fail(self, error: AmqpError, method: base.Frame | None = None) -> None:
        """Close the connection with an error, and wait for the client to agree."""
        if self.state in (CLOSING, CLOSED):
            return
        self._note(error, method)
        self._release()
        login_refused = self.state == STARTING and error.code == 403
        told = login_refused and self.capabilities.get("authentication_failure_close")
        if self.state in (STARTING, TUNING) and not told:
            self._end()
            return
        class_id, method_id = (0, 0) if login_refused else ids(method)
        self.send(0, commands.Connection.Close(error.code, error.text, class_id, method_id))
        self._await_end()

    def _await_end(self) -> None:
        self.state = CLOSING
        self._heard = self.broker.clock.now

    def lost(self, now: float) -> None:
        """The transport ended: everything that was unacknowledged goes back."""
        clock = self.broker.clock
        clock.now = max(now, clock.now)
        self._release()
        self._end()

    def vanish(self) -> None:
        """The broker crashed: nothing is sent, nothing is put back here."""
        self.channels.clear()
        self._out.clear()
        self.state = CLOSED

    def _release(self) -> None:
        for channel in list(self.channels.values()):
            channel.terminate()
        self.channels.clear()
        if self.vhost is not None:
            self.vhost.release(self)

    def _end(self) -> None:
        self.state = CLOSED
        self.broker.forget(self)
        self.broker.wake(self)

    def _note(self, error: AmqpError, method: base.Frame | None) -> None:
        if error.feature:
            self.broker.note_refusal(self.name, method.name if method is not None else "", error)

    # Time

    def tick(self) -> None:
        """Send a heartbeat, or give the client up, if it is time."""
        now = self.broker.clock.now
        if self.state == CLOSING and now >= self._heard + _CLOSING_TIMEOUT:
            self._end()
        if self.state != RUNNING or not self.heartbeat:
            return
        if now >= self._heard + 2 * self.heartbeat:
            self._release()
            self._end()
        elif now >= self._spoke + self.heartbeat / 2:
            self._spoke = now
            self.write(frames.HEARTBEAT_FRAME)

    def next_due(self) -> float | None:
        """When :meth:`tick` has something to do; None for never."""
        if self.state == CLOSING:
            return self._heard + _CLOSING_TIMEOUT
        if self.state != RUNNING or not self.heartbeat:
            return None
        return min(self._heard + 2 * self.heartbeat, self._spoke + self.heartbeat / 2)


def ids(method: base.Frame | None) -> tuple[int, int]:
    """Return the class and method numbers of a method, zeros for none."""
    return (method.index >> 16, method.index & 0xFFFF) if method is not None else (0, 0)


def _check_tuned(field: str, value: int, lowest: int, highest: int) -> None:
    detail = " (no limit)" if value == 0 else ""
    if value and value < lowest:
        raise AmqpError(530, f"negotiated {field} = {value}{detail} is lower than the minimum allowed value ({lowest})")
    if highest and (value == 0 or value > highest):
        raise AmqpError(
            530, f"negotiated {field} = {value}{detail} is higher than the maximum allowed value ({highest})"
        )


def _update_secret(connection: Connection, _: base.Frame, __: bytes) -> None:
    connection.send(0, commands.Connection.UpdateSecretOk())


_Handler = Callable[[Connection, Any, bytes], None]
_HANDLERS: dict[tuple[str, type[base.Frame]], _Handler] = {
    (STARTING, commands.Connection.StartOk): Connection._start_ok,
    (TUNING, commands.Connection.TuneOk): Connection._tune_ok,
    (OPENING, commands.Connection.Open): Connection._open,
    (RUNNING, commands.Connection.UpdateSecret): _update_secret,
    (CLOSING, commands.Connection.CloseOk): Connection._close_ok,
    ("", commands.Connection.Close): Connection._close,
}
