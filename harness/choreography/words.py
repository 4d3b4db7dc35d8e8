"""The words of a choreography: the system under test, as plain data.

``choreography.toml`` is read into these (:mod:`misstep.harness.choreography.file`), and who prefers code writes them
directly. Text in braces (``{broker.url}``) is a template, expanded late by
:mod:`misstep.harness.choreography.templates`. All durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
else:
    # msgspec reads histories back by these types, and knows no recursive alias.
    Json = Any

SelectorPart: TypeAlias = Literal["routing_key", "queue", "topic", "exchange", "header", "property", "body"]


@dataclass(frozen=True, slots=True)
class Selector:
    """Where a message keeps a value; written ``routing_key``, ``header:NAME``, ``body:json.path``, ``property:type``.

    Attributes:
        part: Which part of the message: ``routing_key``, ``queue``, ``topic``, ``exchange``, ``header``, ``property``
            or ``body``.
        path: The name of the header or property, or the JSON path in the body (or a regular expression between slashes,
            searched in its text); empty for the other parts.
    """

    part: SelectorPart
    path: str = ""

    def __str__(self) -> str:
        return f"{self.part}:{self.path}" if self.path else self.part


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRules:
    """Where events keep what misstep must know of them.

    Attributes:
        type: Where the event's type stands.
        correlation: Where the business key stands that ties the events of one saga together.
        id: Where the id stands that the producer gave the message, if it gives any.
        causation: Where a message names the id of the message that caused it, if it does.
        ignore: Event types that are no part of any saga, such as heartbeats; shell wildcards are allowed.
    """

    type: Selector = Selector("routing_key")
    correlation: Selector = Selector("property", "correlation_id")
    id: Selector | None = Selector("property", "message_id")
    causation: Selector | None = None
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """When a service counts as ready; every condition that is set must hold.

    Attributes:
        consumers: It has at least so many consumers on its broker link.
        http: This path answers with a status below 400 on its port.
        tcp: Its port accepts connections.
        log: A regular expression that a line of its output matches.
        within: The deadline.
    """

    consumers: int = 0
    http: str = ""
    tcp: bool = False
    log: str = ""
    within: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service: one or several processes, never modified.

    Attributes:
        name: Its name, unique in the choreography.
        processes: Command templates by process name; a service of one process calls it ``main``. A command is split as
            a shell splits words, but no shell runs it.
        env: Environment templates, added to a copy of the harness's own environment.
        cwd: Its working directory, relative to the choreography's folder.
        ready: When it counts as ready.
        after: Services that must be ready before it is started.
        stop_within: How long it has to end after SIGTERM before it is killed.
        broker: Whether it talks to the broker at all, so has a link to it.
    """

    name: str
    processes: Mapping[str, str]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "."
    ready: Ready = Ready(consumers=1)
    after: tuple[str, ...] = ()
    stop_within: float = 5.0
    broker: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A database that services write to.

    Attributes:
        name: Its name, unique in the choreography.
        kind: ``sqlite``, ``postgres``, or ``tcp`` (any other TCP store; its link is only passed through).
        target: A file name for ``sqlite``; ``local`` or a URL for ``postgres``; a URL for ``tcp``.
        schema: SQL run once in each fresh store, before any service starts; a file name ending in ``.sql`` is read.
    """

    name: str
    kind: Literal["sqlite", "postgres", "tcp"]
    target: str
    schema: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One scripted answer of an external.

    Attributes:
        when: ``METHOD /path``, with shell wildcards; ``*`` matches every request.
        status: The HTTP status of the answer.
        json: The body; strings in it are templates (``{faker.uuid4}``, ``{request.json.amount}``).
        matching: JSON paths of the request's body with the value each must have for this answer to apply.
        headers: Headers of the answer.
        delay: Seconds to wait before answering.
        times: How often it is given before the next one that matches takes over; 0 is for ever.
        once_by: Where the request keeps its idempotency key (``header:Idempotency-Key``, ``json:id``): a request
            that repeats a key gets the first answer again, as a well-kept third party does.
    """

    when: str = "*"
    status: int = 200
    json: Json = None
    matching: Mapping[str, Json] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    times: int = 0
    once_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class External:
    """A third party that services call by HTTP: stubbed, scripted, its calls counted."""

    name: str
    answers: tuple[Answer, ...] = (Answer(),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """A stimulus that starts a saga. Exactly one of ``http``, ``publish``, ``command`` is set.

    Attributes:
        name: Its name, unique in the choreography.
        http: ``METHOD url`` template.
        publish: The event's routing key (with ``exchange``), published to the broker.
        exchange: The exchange for ``publish``.
        command: A command template; it is given its data as JSON on standard input.
        json: The data; strings in it are templates (``{faker.name}``, ``{correlation}``), drawn from the seed.
        headers: HTTP or message headers; templates.
        properties: Message properties for ``publish``; templates.
        correlation: How the driver knows its saga: ``response:json:PATH``, ``response:header:NAME``,
            ``output:json:PATH`` (a command's), or a template that supplies the id, available as ``{correlation}`` in
            the others.
        saga: Which saga it starts; empty means the only one.
        accepts: HTTP statuses that mean the stimulus was taken; empty means any below 400.
        within: The deadline of the stimulus itself.
    """

    name: str
    http: str = ""
    publish: str = ""
    exchange: str = ""
    command: str = ""
    json: Json = None
    headers: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    correlation: str = "{faker.uuid4}"
    saga: str = ""
    accepts: tuple[int, ...] = ()
    within: float = 10.0


Ending: TypeAlias = Literal["completed", "compensated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What must happen a certain number of times for each business key; an event alone is no effect.

    Exactly one of ``external`` and ``store`` is set.

    Attributes:
        name: Its name, unique in the choreography.
        external: The external whose calls are counted.
        when: Which calls of the external count: ``METHOD /path`` with wildcards, ``*`` for all.
        status: Only calls that were answered below 400 count, where this is true.
        once_by: Calls with the same value here (``header:NAME``, ``json:PATH``) count as one: an idempotency key.
        key: Where a call keeps its business key: ``json:PATH``, ``header:NAME`` or ``path:N`` (the Nth segment).
        store: The store that is asked.
        sql: A query of two columns: business key and count. ``{correlation}`` may stand in it, as a bound parameter.
        times: How often, by how the saga ended; for one that has not ended, nothing is asked but an upper bound.
    """

    name: str
    external: str = ""
    when: str = "*"
    status: bool = True
    once_by: str = ""
    key: str = ""
    store: str = ""
    sql: str = ""
    times: Mapping[Ending, int] = field(default_factory=lambda: {"completed": 1, "compensated": 1})


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a saga: the event that does it, and the event that undoes it (empty when nothing need be undone)."""

    does: str
    undoes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saga:
    """A saga: how it starts, how it may end, and what must be undone when it fails.

    Attributes:
        name: Its name, unique in the choreography.
        starts: The event that starts it.
        completes: Events of which each means that it completed.
        fails: Events of which each means that it was given up, so every step done must be undone.
        steps: The steps, in order.
        within: Seconds from the start by which it must have ended, faults healed.
    """

    name: str
    starts: str
    completes: tuple[str, ...]
    fails: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    within: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A look at the world when all is quiet, compared with the fault-free run. Exactly one of the sources is set.

    Attributes:
        name: Its name, unique in the choreography.
        store: The store that ``sql`` asks.
        sql: A query; ``{correlation}`` may stand in it, as a bound parameter.
        http: ``GET url`` template; the answer's JSON, or text, is the look.
        command: A command template; its output's JSON, or text, is the look.
        ignore: Columns or JSON paths left out of the comparison, such as generated ids and times.
    """

    name: str
    store: str = ""
    sql: str = ""
    http: str = ""
    command: str = ""
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a client sees while the saga runs; polled.

    Attributes:
        name: Its name, unique in the choreography.
        http: ``GET url`` template.
        value: Where the answer keeps the value: ``json:PATH``, ``header:NAME`` or ``status``.
        allows: The allowed moves, each ``(from, to)``; taken transitively.
        every: Seconds between two looks.
    """

    name: str
    http: str
    value: str = "status"
    allows: tuple[tuple[str, str], ...] = ()
    every: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietRules:
    """How long a run may take to fall silent, and how long silence must last.

    Attributes:
        silence: Seconds without any event on a link after which a *clean* run counts as quiet; later runs use what the
            clean run taught, if ``learn``.
        within: The deadline after which "not quiet" is itself the verdict.
        learn: Whether the clean run teaches how long each service may fall silent.
        outboxes: For each store a query that counts the rows still to be published.
    """

    silence: float = 1.0
    within: float = 15.0
    learn: bool = True
    outboxes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Bounds that the progress and cycle checkers hold a run against.

    Attributes:
        attempts: Deliveries of one message to one queue; more is a redelivery storm.
        depth: Length of a chain of causes within one saga; more is a cycle.
    """

    attempts: int = 10
    depth: int = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Choreography:
    """The system under test, as declared.

    Attributes:
        name: What reports call it.
        folder: The folder that relative paths start from.
        broker: ``rabbitmq``.
        broker_url: The broker's own URL, for the ``remote`` stage; may hold ``{env.NAME}``; never shown in a report.
        management_url: Its management API, where it has one.
        services, stores, externals, drivers, effects, sagas, probes, views: What it is made of, by name.
        events: Where events keep their type, correlation and id.
        quiet: When a run counts as over.
        progress: What counts as a storm or a cycle.
        checkers: Checkers of its own, each ``module:function``, that judge beside those that are built in; modules are
            looked for in ``folder`` first.
        source: The name of its file in ``folder``; empty where it was declared in Python.
    """

    name: str
    folder: Path
    broker: Literal["rabbitmq"] = "rabbitmq"
    broker_url: str = field(default="", repr=False)
    management_url: str = field(default="", repr=False)
    services: Mapping[str, Service] = field(default_factory=dict)
    stores: Mapping[str, Store] = field(default_factory=dict)
    externals: Mapping[str, External] = field(default_factory=dict)
    drivers: Mapping[str, Driver] = field(default_factory=dict)
    effects: Mapping[str, Effect] = field(default_factory=dict)
    sagas: Mapping[str, Saga] = field(default_factory=dict)
    probes: Mapping[str, Probe] = field(default_factory=dict)
    views: Mapping[str, View] = field(default_factory=dict)
    events: EventRules = EventRules()
    quiet: QuietRules = QuietRules()
    progress: Progress = Progress()
    checkers: tuple[str, ...] = ()
    source: str = field(default="", compare=False)
