"""The one tree of errors that misstep raises.

::

    MisstepError
    ├── ChoreographyError     what the user declared cannot be used (all problems at once)
    ├── PlanError             a plan does not fit the choreography it is to disturb
    ├── PartMissing           a broker, store or tool this machine does not have
    ├── StageError            the stage could not be set up, or broke while it ran
    │   ├── ServiceFailed     a service never became ready, died, or bypassed its link
    │   ├── BrokerFailed      the broker did not start, answer, or keep its promise
    │   └── StoreFailed       a store could not be made or asked
    └── DriverFailed          the stimulus of a saga could not be delivered

Every message shows the value that triggered it, what was expected, and the next step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class MisstepError(Exception):
    """What every error of misstep is."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in something a user wrote.

    Attributes:
        place: Where it stands, as a dotted path, such as ``services.payment.command``.
        value: What stands there, shown by ``repr``, or an empty string when something is missing.
        expected: What was expected instead, with the valid choices where there are few.
        hint: A near match or the next step; empty when there is none.
    """

    place: str
    value: str
    expected: str
    hint: str = ""

    def __str__(self) -> str:
        seen = f" is {self.value}" if self.value else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.place}{seen}: expected {self.expected}{hint}"


class ChoreographyError(MisstepError):
    """What the user declared cannot be used; all problems are told at once.

    Attributes:
        source: The file, or whatever else the declaration came from.
        problems: Every problem that was found, in the order of the file.
    """

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        rows = "\n".join(f"  {number}. {problem}" for number, problem in enumerate(self.problems, 1))
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__(f"{source} has {count}:\n{rows}")


class PlanError(MisstepError):
    """A plan cannot be read, or does not fit the choreography it is to disturb."""


class PartMissing(MisstepError):
    """A broker, store or tool that was asked for is not on this machine."""


class StageError(MisstepError):
    """The stage could not be set up, or broke while it ran."""


class ServiceFailed(StageError):
    """A service never became ready, died, or bypassed its link."""


class BrokerFailed(StageError):
    """The broker did not start, did not answer, or broke a promise."""


class StoreFailed(StageError):
    """A store could not be made, or could not be asked."""


class DriverFailed(MisstepError):
    """The stimulus that starts a saga could not be delivered."""
