"""Random commands: what a client may do next, and how to do it on one broker.

A command names things by their place (the second message that is out, say), never by what a broker made up, so that it
means the same on both brokers as long as both show the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st
from pamqp.commands import Basic, Channel, Queue

from .client import RawChannel
from .shown import Content, short
from .world import World

QUEUES: dict[str, dict[str, Any]] = {
    "plain": {},
    "short": {"x-max-length": 2, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"},
    "strict": {"x-max-length": 2, "x-overflow": "reject-publish"},
    "dead": {},
}
CLIENTS = 2


@dataclass(frozen=True, slots=True)
class Command:
    """One thing to do; what the numbers mean is up to its kind."""

    kind: str
    client: int = 0
    queue: str = "plain"
    number: int = 0
    flag: bool = False


_clients = st.integers(0, CLIENTS - 1)
_busy_queues = st.sampled_from(["plain", "plain", "short", "strict"])
_any_queue = st.sampled_from(["plain", "plain", "plain", *QUEUES])
_places = st.integers(0, 4)

_KINDS = {
    "publish": (6, st.builds(Command, st.just("publish"), _clients, _busy_queues, st.integers(1, 3))),
    "refuse": (4, st.builds(Command, st.just("refuse"), _clients, number=_places, flag=st.booleans())),
    "ack": (4, st.builds(Command, st.just("ack"), _clients, number=_places)),
    "consume": (3, st.builds(Command, st.just("consume"), _clients, _any_queue, st.integers(0, 2), st.booleans())),
    "ack_all": (2, st.builds(Command, st.just("ack_all"), _clients)),
    "refuse_all": (2, st.builds(Command, st.just("refuse_all"), _clients, flag=st.booleans())),
    "cancel": (2, st.builds(Command, st.just("cancel"), _clients, number=_places)),
    "cut": (2, st.builds(Command, st.just("cut"), _clients)),
    "get": (1, st.builds(Command, st.just("get"), _clients, _any_queue, flag=st.booleans())),
    "recover": (1, st.builds(Command, st.just("recover"), _clients)),
    "reopen": (1, st.builds(Command, st.just("reopen"), _clients)),
    "purge": (1, st.builds(Command, st.just("purge"), _clients, _any_queue)),
    "bind": (1, st.builds(Command, st.just("bind"), _clients, _busy_queues, st.integers(0, 3))),
    "unbind": (1, st.builds(Command, st.just("unbind"), _clients, _busy_queues, st.integers(0, 3))),
    "publish_topic": (1, st.builds(Command, st.just("publish_topic"), _clients, number=st.integers(0, 3))),
}
"""Every kind of command, how often it is drawn, and how."""

COMMANDS = st.sampled_from([kind for kind, (weight, _) in _KINDS.items() for _ in range(weight)]).flatmap(
    lambda kind: _KINDS[kind][1]
)
_PATTERNS = ("order.*", "#", "*.placed", "order.placed")
_KEYS = ("order.placed", "order", "stock.placed", "order.paid.eu")


@dataclass(slots=True)
class Player:
    """One client's channel on one broker, with what is out there."""

    channel: RawChannel
    consumers: dict[str, str] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    out: dict[tuple[str, int], int] = field(default_factory=dict)
    seen: dict[str, list[str]] = field(default_factory=dict)

    def take_in(self) -> None:
        """File what was delivered by consumer, since two queues may deliver to one channel in any order."""
        while self.channel.events:
            content = self.channel.events.popleft()
            assert isinstance(content.method, Basic.Deliver)
            self.file(content.method.consumer_tag or "", content)

    def file(self, source: str, content: Content) -> None:
        """Note one message from a consumer, or from a queue that it was fetched from."""
        seen = self.seen.setdefault(source, [])
        if source not in self.silent:
            assert isinstance(content.method, (Basic.Deliver, Basic.GetOk))
            self.out[source, len(seen)] = content.method.delivery_tag or 0
        seen.append(short(content))


class Troupe:
    """All clients on one broker, doing what they are told."""

    def __init__(self, world: World, kind: str) -> None:
        self._world = world
        self._kind = kind
        self._published = 0
        self._named = 0
        self.players: list[Player] = []

    async def enter(self) -> None:
        """Connect everybody, declare everything, and let everybody consume, so that there is something to settle."""
        self._watch = await self._world.channel()
        await self._watch.queue("plain", durable=True, arguments={"x-queue-type": self._kind})
        for name, arguments in QUEUES.items():
            if name != "plain":
                await self._watch.queue(name, arguments=arguments)
        for _ in range(CLIENTS):
            self.players.append(Player(await (await self._world.channel()).with_confirms()))
        for client in range(CLIENTS):
            for prefetch in (2, 1):
                await self.do(Command("consume", client, number=prefetch))
        await self.do(Command("publish", number=7))

    async def do(self, command: Command) -> object:
        """Carry out one command and return its direct answer."""
        return await _ACTIONS[command.kind](self, self.players[command.client], command)

    async def observe(self) -> object:
        """Return what can be seen now: counts of all queues, and what every client was sent and holds."""
        counts = {}
        for name in QUEUES:
            counts[name] = await self._watch.count(name)
        for player in self.players:
            await player.channel.settle()
            player.take_in()
        held = [{source: list(seen) for source, seen in player.seen.items()} for player in self.players]
        return counts, held, [sorted(player.out) for player in self.players]

    # Commands

    async def _publish(self, player: Player, command: Command) -> object:
        bodies = [self._body() for _ in range(command.number)]
        return await player.channel.confirmed("", command.queue, *bodies)

    async def _publish_topic(self, player: Player, command: Command) -> object:
        player.channel.publish("amq.topic", _KEYS[command.number], self._body(), mandatory=True)
        confirm = await player.channel.confirm()
        returned = [short(one) for one in player.channel.returned]
        player.channel.returned.clear()
        return confirm, returned

    def _body(self) -> bytes:
        self._published += 1
        return f"m{self._published}".encode()

    async def _consume(self, player: Player, command: Command) -> object:
        if command.queue == "plain" and self._kind == "quorum":
            # What needs no ack is settled by RabbitMQ's own channel some time later; until then it is not its turn.
            command = replace(command, flag=False)
        self._named += 1
        tag = f"c{self._named}"
        player.consumers[tag] = command.queue
        if command.flag:
            player.silent.add(tag)
        await player.channel.prefetch(command.number)
        return await player.channel.consume(command.queue, tag, no_ack=command.flag)

    async def _cancel(self, player: Player, command: Command) -> object:
        if not player.consumers:
            return None
        tag = list(player.consumers)[command.number % len(player.consumers)]
        del player.consumers[tag]
        return await player.channel.call(Basic.Cancel(tag))

    async def _get(self, player: Player, command: Command) -> object:
        player.channel.send(Basic.Get(queue=command.queue, no_ack=command.flag))
        answer = await player.channel.answer()
        if not isinstance(answer.method, Basic.GetOk):
            return player.channel.shown(answer)
        source = f"get {command.queue} {command.flag}"
        if command.flag:
            player.silent.add(source)
        player.file(source, answer)
        return player.channel.shown(answer)

    def _one_out(self, player: Player, command: Command) -> int | None:
        if not player.out:
            return None
        key = sorted(player.out)[command.number % len(player.out)]
        return player.out.pop(key)

    async def _ack(self, player: Player, command: Command) -> object:
        if (tag := self._one_out(player, command)) is not None:
            player.channel.send(Basic.Ack(delivery_tag=tag))
        return None

    async def _refuse(self, player: Player, command: Command) -> object:
        if (tag := self._one_out(player, command)) is not None:
            player.channel.send(Basic.Reject(delivery_tag=tag, requeue=command.flag))
        return None

    async def _ack_all(self, player: Player, _: Command) -> object:
        player.out.clear()
        player.channel.send(Basic.Ack(delivery_tag=0, multiple=True))
        return None

    async def _refuse_all(self, player: Player, command: Command) -> object:
        player.out.clear()
        player.channel.send(Basic.Nack(delivery_tag=0, multiple=True, requeue=command.flag))
        return None

    async def _recover(self, player: Player, _: Command) -> object:
        player.out.clear()
        return await player.channel.call(Basic.Recover(requeue=True))

    async def _bind(self, player: Player, command: Command) -> object:
        return await player.channel.bind(command.queue, "amq.topic", _PATTERNS[command.number])

    async def _unbind(self, player: Player, command: Command) -> object:
        key = _PATTERNS[command.number]
        return await player.channel.call(Queue.Unbind(queue=command.queue, exchange="amq.topic", routing_key=key))

    async def _purge(self, player: Player, command: Command) -> object:
        return await player.channel.call(Queue.Purge(queue=command.queue))

    async def _reopen(self, player: Player, _: Command) -> object:
        self._forget(player)
        channel = player.channel
        answer = await channel.call(Channel.Close(200, "", 0, 0))
        player.take_in()
        self._forget(player)
        await channel.call(Channel.Open())
        await channel.with_confirms()
        return answer

    async def _cut(self, player: Player, _: Command) -> object:
        await player.channel.client.cut()
        self._forget(player)
        player.channel = await (await self._world.channel()).with_confirms()
        return None

    def _forget(self, player: Player) -> None:
        player.out.clear()
        player.consumers.clear()


_Action = Callable[[Troupe, Player, Command], Awaitable[object]]
_ACTIONS: dict[str, _Action] = {
    "publish": Troupe._publish,
    "publish_topic": Troupe._publish_topic,
    "consume": Troupe._consume,
    "cancel": Troupe._cancel,
    "get": Troupe._get,
    "ack": Troupe._ack,
    "refuse": Troupe._refuse,
    "ack_all": Troupe._ack_all,
    "refuse_all": Troupe._refuse_all,
    "recover": Troupe._recover,
    "bind": Troupe._bind,
    "unbind": Troupe._unbind,
    "purge": Troupe._purge,
    "reopen": Troupe._reopen,
    "cut": Troupe._cut,
}
