"""A plan: which drivers are run and which faults are made, as plain data.

The same plan runs on every stage. Messages are named by their causes, never by an index over a whole run, a clock or a
generated value: ``1:order.placed/payment.taken`` is the ``payment.taken`` that the ``order.placed`` of the first
    driver's saga
led to. A second one of the same cause is written ``payment.taken#2``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeAlias

import msgspec
from misstep.harness.errors import PlanError

Moment: TypeAlias = Literal["publish", "published", "deliver", "ack", "acked", "drive", "quiet", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A point in a run; every field that is left empty matches anything.

    Attributes:
        moment: ``publish``: a message has left the service and not reached the broker. ``published``: the broker has
            it. ``deliver``: a message is about to reach the consumer. ``ack``: a settlement has left the consumer and
            not reached
            the broker. ``acked``: the broker has it. ``drive``: before the first driver. ``quiet``: when all has
            fallen silent.
        service: The service that publishes or consumes.
        event: The event type.
        message: The causal name of the message.
        queue: The queue that a delivery comes from.
        attempt: Which delivery of the message to the queue, from 1; 0 matches each.
    """

    moment: Moment = ""
    service: str = ""
    event: str = ""
    message: str = ""
    queue: str = ""
    attempt: int = 1

    def __str__(self) -> str:
        what = self.message or self.event or "anything"
        where = f" by {self.service}" if self.service else ""
        again = f" (delivery {self.attempt})" if self.attempt > 1 else ""
        return f"{self.moment or 'any moment'} of {what}{where}{again}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault: what is done, where and when.

    Attributes:
        kind: Its kind, such as ``delivery.redeliver``, ``process.crash``, ``link.cut``; the chaos package says which
            there are.
        at: Where and when it fires.
        with_: Parameters of the kind, such as ``{"by": 0.3}`` seconds of a delay. Written ``with`` in JSON.
    """

    kind: str
    at: Site = Site()
    with_: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    def __str__(self) -> str:
        extra = "".join(f", {name}={value!r}" for name, value in sorted(self.with_.items()))
        return f"{self.kind} at {self.at}{extra}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """One run of a driver: its name and data that replaces the driver's own, by top-level field."""

    driver: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Drivers and faults, with the seed that generated data is drawn from.

    Attributes:
        drives: The drivers, run one after the other; the Nth starts saga N.
        faults: The faults, all armed before the first driver.
        seed: The seed of every random stream of the run.
    """

    drives: tuple[Drive, ...]
    faults: tuple[Fault, ...] = ()
    seed: int = 0

    @property
    def digest(self) -> str:
        """A short name that is the same wherever and whenever the same plan is written."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:8]

    def without_faults(self) -> Plan:
        """Return the same plan with no faults: the clean run that it is compared with."""
        return replace(self, faults=())

    def to_json(self) -> str:
        """Return the plan as JSON, the same text for the same plan."""
        plain = asdict(self)
        for fault in plain["faults"]:
            fault["with"] = fault.pop("with_")
        return json.dumps(plain, sort_keys=True, separators=(",", ":"))

    @staticmethod
    def from_json(text: str | bytes, *, source: str = "plan") -> Plan:
        """Read a plan back.

        Args:
            text: What :meth:`to_json` wrote, or a person.
            source: What to call it in an error.

        Raises:
            PlanError: It is no JSON, or not of a plan's form; the message says where.
        """
        try:
            plain = json.loads(text)
            for fault in plain.get("faults", ()) if isinstance(plain, dict) else ():
                if isinstance(fault, dict) and "with" in fault:
                    fault["with_"] = fault.pop("with")
            return msgspec.convert(plain, Plan, strict=True)
        except (ValueError, msgspec.ValidationError) as error:
            raise PlanError(f"{source} is not a plan: {error}; a plan is written by `misstep explore`") from error
