"""The sections of ``choreography.toml``, one reader each: a table in, one of the words out."""

from __future__ import annotations

from typing import Literal, get_args

from misstep.harness.choreography.reading import Table
from misstep.harness.choreography.requests import check_pattern
from misstep.harness.choreography.selectors import parse_selector
from misstep.harness.choreography.words import (
    Answer,
    Driver,
    Effect,
    Ending,
    EventRules,
    External,
    Probe,
    Progress,
    QuietRules,
    Ready,
    Saga,
    Selector,
    Service,
    Step,
    Store,
    View,
)

StoreKind = Literal["sqlite", "postgres", "tcp"]
STORE_KINDS: tuple[StoreKind, ...] = get_args(StoreKind)
ENDINGS: tuple[Ending, ...] = get_args(Ending)


def service(name: str, table: Table) -> Service:
    """Read ``[services.NAME]``."""
    broker = table.flag("broker", True)
    read = Service(
        name=name,
        processes=processes(table),
        env=table.words("env"),
        cwd=table.text("cwd", "."),
        ready=ready(table, broker),
        after=table.texts("after"),
        stop_within=table.seconds("stop_within", 5.0),
        broker=broker,
    )
    table.close()
    return read


def processes(table: Table) -> dict[str, str]:
    """Read ``command = "…"``, or ``processes = { web = "…", relay = "…" }``."""
    if table.has("processes"):
        if table.has("command"):
            table.wrong("command", "either command or processes, not both")
        return table.words("processes")
    command = table.text("command", required=True)
    return {"main": command} if command else {}


def ready(table: Table, broker: bool) -> Ready:
    """Read ``ready = { … }``; without one a service is ready when it consumes, if it talks to the broker at all."""
    if not table.has("ready"):
        return Ready(consumers=1 if broker else 0)
    inner = table.table("ready")
    read = Ready(
        consumers=inner.count("consumers", 0),
        http=inner.text("http"),
        tcp=inner.flag("tcp", False),
        log=inner.text("log"),
        within=inner.seconds("within", 20.0),
    )
    inner.close()
    return read


def store(name: str, table: Table) -> Store:
    """Read ``[stores.NAME]``, whose kind is the key that names its target."""
    kinds = [kind for kind in STORE_KINDS if table.has(kind)]
    targets = {kind: table.text(kind, required=True) for kind in kinds}
    for kind in kinds[1:]:
        table.wrong(kind, f"one of sqlite, postgres and tcp; {kinds[0]} is here already")
    kind = kinds[0] if kinds else "sqlite"
    read = Store(name=name, kind=kind, target=targets.get(kind, ""), schema=table.text("schema"))
    table.close()
    return read


def events(table: Table) -> EventRules:
    """Read ``[events]``."""
    usual = EventRules()
    read = EventRules(
        type=table.parsed("type", usual.type, parse_selector),
        correlation=table.parsed("correlation", usual.correlation, parse_selector),
        id=table.parsed("id", usual.id, parse_optional),
        causation=table.parsed("causation", usual.causation, parse_optional),
        ignore=table.texts("ignore"),
    )
    table.close()
    return read


def parse_optional(text: str) -> Selector | None:
    """Read a selector, or an empty text for none."""
    return parse_selector(text) if text else None


def driver(name: str, table: Table) -> Driver:
    """Read ``[drivers.NAME]``."""
    read = Driver(
        name=name,
        http=table.text("http"),
        publish=table.text("publish"),
        exchange=table.text("exchange"),
        command=table.text("command"),
        json=table.json("json"),
        headers=table.words("headers"),
        properties=table.words("properties"),
        correlation=table.text("correlation", "{faker.uuid4}"),
        saga=table.text("saga"),
        accepts=table.counts("accepts"),
        within=table.seconds("within", 10.0),
    )
    table.close()
    return read


def external(name: str, table: Table) -> External:
    """Read ``[externals.NAME]``."""
    answers = tuple(answer(row) for row in table.rows("answers"))
    read = External(name=name, answers=answers) if table.has("answers") else External(name=name)
    table.close()
    return read


def answer(table: Table) -> Answer:
    """Read one scripted answer."""
    matching = table.json("matching")
    if matching is not None and not isinstance(matching, dict):
        table.wrong("matching", "a table of JSON paths and values")
    read = Answer(
        when=table.parsed("when", "*", check_pattern),
        status=table.count("status", 200, least=200),
        json=table.json("json"),
        matching=matching if isinstance(matching, dict) else {},
        headers=table.words("headers"),
        delay=table.seconds("delay", 0.0, zero=True),
        times=table.count("times", 0),
        once_by=table.text("once_by"),
    )
    table.close()
    return read


def effect(name: str, table: Table) -> Effect:
    """Read ``[effects.NAME]``."""
    read = Effect(
        name=name,
        external=table.text("external"),
        when=table.parsed("when", "*", check_pattern),
        status=table.flag("status", True),
        once_by=table.text("once_by"),
        key=table.text("key"),
        store=table.text("store"),
        sql=table.text("sql"),
        times=times(table),
    )
    table.close()
    return read


def times(table: Table) -> dict[Ending, int]:
    """Read ``times = 1``, or ``times = { completed = 1, compensated = 0 }``."""
    if not isinstance(table.entries.get("times"), dict):
        count = table.count("times", 1)
        return dict.fromkeys(ENDINGS, count)
    inner = table.table("times")
    read = {ending: inner.count(ending, 0) for ending in ENDINGS if inner.has(ending)}
    inner.close()
    return read


def saga(name: str, table: Table) -> Saga:
    """Read ``[sagas.NAME]``."""
    read = Saga(
        name=name,
        starts=table.text("starts", required=True),
        completes=table.texts("completes", required=True),
        fails=table.texts("fails"),
        steps=tuple(step(row) for row in table.rows("steps")),
        within=table.seconds("within", 30.0),
    )
    table.close()
    return read


def step(table: Table) -> Step:
    """Read one step of a saga."""
    read = Step(does=table.text("does", required=True), undoes=table.text("undoes"))
    table.close()
    return read


def probe(name: str, table: Table) -> Probe:
    """Read ``[probes.NAME]``."""
    read = Probe(
        name=name,
        store=table.text("store"),
        sql=table.text("sql"),
        http=table.text("http"),
        command=table.text("command"),
        ignore=table.texts("ignore"),
    )
    table.close()
    return read


def view(name: str, table: Table) -> View:
    """Read ``[views.NAME]``."""
    read = View(
        name=name,
        http=table.text("http", required=True),
        value=table.text("value", "status"),
        allows=moves(table),
        every=table.seconds("every", 0.05),
    )
    table.close()
    return read


def moves(table: Table) -> tuple[tuple[str, str], ...]:
    """Read ``allows = ["pending -> confirmed"]``."""
    found = []
    for text in table.texts("allows"):
        before, arrow, after = (part.strip() for part in text.partition("->"))
        if not (before and arrow and after):
            table.wrong("allows", 'moves such as "pending -> confirmed"')
        found.append((before, after))
    return tuple(found)


def quiet(table: Table) -> QuietRules:
    """Read ``[quiet]``."""
    usual = QuietRules()
    read = QuietRules(
        silence=table.seconds("silence", usual.silence),
        within=table.seconds("within", usual.within),
        learn=table.flag("learn", usual.learn),
        outboxes=table.words("outboxes"),
    )
    table.close()
    return read


def progress(table: Table) -> Progress:
    """Read ``[progress]``."""
    usual = Progress()
    read = Progress(
        attempts=table.count("attempts", usual.attempts, least=1),
        depth=table.count("depth", usual.depth, least=1),
    )
    table.close()
    return read
