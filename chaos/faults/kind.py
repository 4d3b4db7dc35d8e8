"""What there is to know of a kind of fault: when it may fire, which parameters it takes, and how it is put to work."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from misstep.harness.choreography.templates import nearest
from misstep.harness.disturbance import Arm
from misstep.harness.errors import PlanError
from misstep.harness.plan import Fault, Moment, Site

Value: TypeAlias = str | int | float | bool

CAUSAL = re.compile(r"\d+:")
LONGEST = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a kind.

    Attributes:
        takes: ``seconds`` (a number from 0), ``count`` (a whole number), ``choice`` (one of ``choices``), ``event``.
        about: What it means, for people.
        choices: What a ``choice`` may be.
        least: The least a ``count`` may be.
    """

    takes: Literal["seconds", "count", "choice", "event"]
    about: str
    choices: tuple[str, ...] = ()
    least: int = 0

    def expected(self) -> str:
        """Say what it takes."""
        match self.takes:
            case "seconds":
                return f"seconds from 0 to {LONGEST:g}"
            case "count":
                return f"a whole number of at least {self.least}"
            case "choice":
                return f"one of {', '.join(map(repr, self.choices))}"
            case "event":
                return "an event type"

    def takes_value(self, value: object) -> bool:
        """Say whether a value fits."""
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        match self.takes:
            case "seconds":
                return number and math.isfinite(value) and 0 <= value <= LONGEST  # type: ignore[arg-type, operator]
            case "count":
                return number and isinstance(value, int) and self.least <= value < 2**31
            case "choice":
                return value in self.choices
            case "event":
                return isinstance(value, str) and value != ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of fault.

    Attributes:
        name: What plans call it, such as ``process.crash``.
        about: What it does, in one sentence.
        moments: When it may fire.
        make: Puts a fault of this kind to work.
        parameters: What it may be given in ``with``.
        service: Whether it must name a service.
        message: Whether it must name a message; else it fires at the first one of its service.
    """

    name: str
    about: str
    moments: tuple[Moment, ...]
    make: Arm
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    service: bool = True
    message: bool = True


def check(kind: Kind, fault: Fault) -> None:
    """Check that a fault is one that its kind can make.

    Raises:
        PlanError: Its moment, its target or a parameter is wrong; the message says which, and what is right.
    """
    at = fault.at
    if at.moment not in kind.moments:
        near = meant(at.moment, kind.moments)
        raise PlanError(f"{kind.name} has moment {at.moment!r} in {str(at)!r}: expected {choices(kind.moments)}{near}")
    if kind.service and not at.service:
        raise PlanError(f"{kind.name} at {at} names no service; say which service it befalls")
    if kind.message and at.moment not in ("drive", "quiet") and not (at.event or at.message):
        raise PlanError(f"{kind.name} at {at} names no message; give the event type or causal name that it fires at")
    if at.attempt < 0:
        raise PlanError(f"{kind.name} at {at} has attempt {at.attempt}: expected 1 or more, or 0 for any delivery")
    for name, value in fault.with_.items():
        if name not in kind.parameters:
            known = tuple(kind.parameters)
            expected = f"its parameters are {', '.join(known)}" if known else "it takes none"
            raise PlanError(f"{kind.name} has no parameter {name!r} (given {value!r}); {expected}{meant(name, known)}")
        if not kind.parameters[name].takes_value(value):
            raise PlanError(f"{kind.name} has {name} = {value!r}: expected {kind.parameters[name].expected()}")


def choices(names: Iterable[str]) -> str:
    """Return names as a message lists them."""
    listed = [repr(name) for name in names]
    return listed[0] if len(listed) == 1 else f"one of {', '.join(listed)}"


def meant(name: str, known: Iterable[str]) -> str:
    """Return a question that names the near match, or nothing."""
    near = nearest(name, list(known))
    return f"; did you mean {near!r}?" if near else ""


def site(moment: Moment, what: str, *, service: str = "", queue: str = "", attempt: int = 1) -> Site:
    """Return the site of a message that a person named by event type (``payment.taken``) or by cause (``1:a/b``)."""
    if CAUSAL.match(what):
        return Site(moment=moment, service=service, message=what, queue=queue, attempt=attempt)
    return Site(moment=moment, service=service, event=what, queue=queue, attempt=attempt)


def given(**parameters: Value | None) -> dict[str, Value]:
    """Return the parameters that were given; None stands for one that was not."""
    return {name: value for name, value in parameters.items() if value is not None}


def seconds(fault: Fault, name: str, default: float) -> float:
    """Return a parameter that is a number of seconds."""
    return float(fault.with_.get(name, default))


def count(fault: Fault, name: str, default: int) -> int:
    """Return a parameter that is a whole number."""
    return int(fault.with_.get(name, default))
