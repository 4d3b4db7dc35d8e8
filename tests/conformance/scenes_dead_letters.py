"""Where discarded messages go, and what they carry."""

from __future__ import annotations

from pamqp.commands import Basic, Queue

from .client import RawChannel
from .scenario import scenario
from .shown import headers
from .world import World


async def _pair(world: World, *, key: str | None = None, **arguments: object) -> RawChannel:
    """Declare a queue ``q`` whose dead letters go through the exchange ``dlx`` to the queue ``dead``."""
    channel = await (await world.channel()).with_confirms()
    await channel.exchange("dlx", "topic")
    await channel.queue("dead")
    await channel.bind("dead", "dlx", "#")
    named = {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
    named["x-dead-letter-exchange"] = "dlx"
    if key is not None:
        named["x-dead-letter-routing-key"] = key
    await channel.queue("q", arguments=named)
    return channel


async def _reject(channel: RawChannel, data: bytes = b"1", **properties: object) -> None:
    await channel.confirmed("", "q", data, **properties)
    tag = await channel.call(Basic.Get(queue="q"))
    assert tag[0] == "Basic.GetOk"
    channel.send(Basic.Nack(delivery_tag=0, multiple=True, requeue=False))


@scenario(
    (
        ("Basic.GetOk", "1", "dlx", "q", 0),
        {
            "x-death": [
                {
                    "count": 1,
                    "reason": "rejected",
                    "queue": "q",
                    "time": "<time>",
                    "exchange": "",
                    "routing-keys": ["q"],
                }
            ],
            "x-first-death-exchange": "",
            "x-first-death-queue": "q",
            "x-first-death-reason": "rejected",
        },
    )
)
async def rejected_message_is_dead_lettered(world: World) -> object:
    channel = await _pair(world)
    await _reject(channel)
    one = await channel.fetch("dead")
    return channel.shown(one), headers(one)


@scenario(("Basic.GetOk", "1", "dlx", "was.bad", 0))
async def dead_letter_key_replaces_the_messages_own(world: World) -> object:
    channel = await _pair(world, key="was.bad")
    await _reject(channel)
    return channel.shown(await channel.fetch("dead"))


@scenario(
    {
        "x-death": [
            {"count": 1, "reason": "expired", "queue": "q", "time": "<time>", "exchange": "", "routing-keys": ["q"]}
        ],
        "x-first-death-exchange": "",
        "x-first-death-queue": "q",
        "x-first-death-reason": "expired",
    }
)
async def expired_message_is_dead_lettered(world: World) -> object:
    channel = await _pair(world, message_ttl=20)
    await channel.confirmed("", "q", b"1")
    one = await channel.fetch("dead")
    return headers(one)


@scenario(
    (
        {
            "x-death": [
                {
                    "count": 1,
                    "reason": "expired",
                    "queue": "q",
                    "time": "<time>",
                    "exchange": "",
                    "routing-keys": ["q"],
                    "original-expiration": "20",
                }
            ],
            "x-first-death-exchange": "",
            "x-first-death-queue": "q",
            "x-first-death-reason": "expired",
        },
        None,
    )
)
async def own_expiration_is_kept_in_the_death_and_removed_from_the_message(world: World) -> object:
    channel = await _pair(world)
    await channel.confirmed("", "q", b"1", expiration="20")
    one = await channel.fetch("dead")
    assert one.properties is not None
    return headers(one), one.properties.expiration


@scenario(
    (
        b"1",
        {
            "x-death": [
                {"count": 1, "reason": "maxlen", "queue": "q", "time": "<time>", "exchange": "", "routing-keys": ["q"]}
            ],
            "x-first-death-exchange": "",
            "x-first-death-queue": "q",
            "x-first-death-reason": "maxlen",
        },
        ["2"],
    )
)
async def dropped_head_is_dead_lettered(world: World) -> object:
    channel = await _pair(world, max_length=1)
    await channel.confirmed("", "q", b"1", b"2")
    one = await channel.fetch("dead")
    return one.body, headers(one), await channel.get_all("q")


@scenario((["ack", "nack"], b"2", "maxlen", ["1"]))
async def rejected_publish_is_dead_lettered_when_asked(world: World) -> object:
    channel = await _pair(world, max_length=1, overflow="reject-publish-dlx")
    confirms = await channel.confirmed("", "q", b"1", b"2")
    one = await channel.fetch("dead")
    return confirms, one.body, headers(one)["x-first-death-reason"], await channel.get_all("q")


@scenario((["ack", "nack"], (0, 0)))
async def rejected_publish_is_not_dead_lettered_otherwise(world: World) -> object:
    channel = await _pair(world, max_length=1, overflow="reject-publish")
    return await channel.confirmed("", "q", b"1", b"2"), await channel.count("dead")


@scenario([("rejected", 2)])
async def same_death_is_counted(world: World) -> object:
    channel = await _pair(world)
    await _reject(channel)
    first = await channel.fetch("dead")
    await _reject(channel, headers=_raw(first))
    second = await channel.fetch("dead")
    return [(death["reason"], death["count"]) for death in headers(second)["x-death"]]


@scenario(([("later", "expired", 1), ("q", "rejected", 1)], "q", "rejected"))
async def latest_death_stands_first(world: World) -> object:
    channel = await _pair(world)
    await channel.queue("later", arguments={"x-dead-letter-exchange": "dlx", "x-message-ttl": 1})
    await _reject(channel)
    first = await channel.fetch("dead")
    await channel.confirmed("", "later", b"1", headers=_raw(first))
    second = headers(await channel.fetch("dead"))
    deaths = [(death["queue"], death["reason"], death["count"]) for death in second["x-death"]]
    return deaths, second["x-first-death-queue"], second["x-first-death-reason"]


def _raw(content: object) -> object:
    return content.properties.headers  # type: ignore[attr-defined]


@scenario(({"deep": {"a": [True, 1.5]}, "tries": 3}, "7", 2))
async def own_headers_survive(world: World) -> object:
    channel = await _pair(world)
    await _reject(channel, headers={"tries": 3, "deep": {"a": [True, 1.5]}}, message_id="7", delivery_mode=2)
    one = await channel.fetch("dead")
    assert one.properties is not None
    kept = {name: value for name, value in headers(one).items() if not name.startswith("x-")}
    return kept, one.properties.message_id, one.properties.delivery_mode


@scenario((0, 0))
async def missing_dead_letter_exchange_drops(world: World) -> object:
    channel = await (await world.channel()).with_confirms()
    await channel.queue("q", arguments={"x-dead-letter-exchange": "none"})
    await _reject(channel)
    return await channel.count("q", 0)


@scenario(("Basic.GetOk", "1", "", "dead", 0))
async def default_exchange_may_be_the_dead_letter_exchange(world: World) -> object:
    channel = await (await world.channel()).with_confirms()
    await channel.queue("dead")
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    await channel.queue("q", arguments=arguments)
    await _reject(channel)
    return channel.shown(await channel.fetch("dead"))


@scenario([[], [("wait", "expired", 1), ("q", "rejected", 1)], [("wait", "expired", 2), ("q", "rejected", 2)]])
async def retry_by_waiting_comes_back(world: World) -> object:
    channel = await (await world.channel()).with_confirms()
    await channel.queue("q", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "wait"})
    back = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q", "x-message-ttl": 20}
    await channel.queue("wait", arguments=back)
    await channel.consume("q")
    await channel.confirmed("", "q", b"1")
    seen = []
    for _ in range(3):
        (one,) = await channel.deliveries(1)
        deaths = headers(one).get("x-death", [])
        seen.append([(death["queue"], death["reason"], death["count"]) for death in deaths])
        channel.send(Basic.Nack(delivery_tag=0, multiple=True, requeue=False))
    return seen


@scenario((0, 0))
async def circle_of_expiries_ends(world: World) -> object:
    channel = await (await world.channel()).with_confirms()
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q", "x-message-ttl": 20}
    await channel.queue("q", arguments=arguments)
    await channel.confirmed("", "q", b"1")
    return await channel.count("q", 0)


@scenario(((0, 0), ["1*"]))
async def requeue_is_no_death(world: World) -> object:
    channel = await _pair(world)
    await channel.confirmed("", "q", b"1")
    await channel.get("q", no_ack=False)
    channel.send(Basic.Nack(delivery_tag=1, requeue=True))
    await channel.count("q", 1)
    return await channel.count("dead"), await channel.get_all("q")


@scenario((0, 0))
async def deleting_or_purging_is_no_death(world: World) -> object:
    channel = await _pair(world)
    await channel.confirmed("", "q", b"1")
    await channel.call(Queue.Purge(queue="q"))
    await channel.confirmed("", "q", b"2")
    await channel.call(Queue.Delete(queue="q"))
    return await channel.count("dead")


@scenario(["1", "2", "3"])
async def rejecting_several_keeps_their_order(world: World) -> object:
    channel = await _pair(world)
    await channel.confirmed("", "q", b"1", b"2", b"3")
    for _ in range(3):
        await channel.get("q", no_ack=False)
    channel.send(Basic.Nack(delivery_tag=3, multiple=True, requeue=False))
    await channel.count("dead", 3)
    return await channel.get_all("dead")


@scenario((b"1", b"1"))
async def dead_letters_reach_every_queue_bound(world: World) -> object:
    channel = await _pair(world)
    await channel.queue("also")
    await channel.bind("also", "dlx", "q")
    await _reject(channel)
    return (await channel.fetch("dead")).body, (await channel.fetch("also")).body


@scenario(["q", "other"])
async def death_remembers_every_routing_key(world: World) -> object:
    channel = await _pair(world)
    await _reject(channel, headers={"CC": ["other"]})
    return headers(await channel.fetch("dead"))["x-death"][0]["routing-keys"]
