"""When a fault fires: matching what is heard against the site that a plan names."""

from __future__ import annotations

from misstep.harness.plan import Moment, Site
from misstep.harness.wire.facts import Closed, Delivered, Fact, Published, Settled
from misstep.harness.wire.interceptor import Heard


def moments(fact: Fact) -> tuple[Moment, ...]:
    """Return the moments that a fact may be: before its bytes go on and, where that can be waited for, after."""
    match fact:
        case Published():
            return ("publish", "published")
        case Delivered(copy=False):
            return ("deliver",)
        case Settled():
            return ("ack", "acked")
        case _:
            return ()


def concerns(site: Site, heard: Heard) -> bool:
    """Say whether something heard lies at a site, its attempt aside; an artificial copy never does."""
    possible = moments(heard.fact)
    return bool(possible) and all(
        (
            not site.moment or site.moment in possible,
            not site.service or site.service == heard.fact.origin.service,
            not site.event or site.event == heard.event,
            not site.message or site.message == heard.message,
            not site.queue or site.queue == heard.queue or isinstance(heard.fact, Published),
        )
    )


def closed_by_us(fact: Fact, service: str) -> bool:
    """Say whether a whole connection of a service came to its end by a fault."""
    return (
        isinstance(fact, Closed)
        and fact.by == "misstep"
        and fact.origin.channel == 0
        and fact.origin.service == service
    )


class Trigger:
    """Says when a fault is to fire: at the first message that lies at its site, and no other.

    Args:
        site: Where. An ``attempt`` of 0 fits any delivery; publishes have none, so it does not bind them.
        times: How often to fire: at the first fitting delivery of a message, and then at further ones of the same
            message to the same queue, so many in all; 0 is at each of them.
    """

    def __init__(self, site: Site, times: int = 1) -> None:
        self.site = site
        self.times = times
        self.fired = 0
        self._target: tuple[str, str, str] | None = None
        self._copies: set[tuple[str, int]] = set()

    def pulled(self, heard: Heard) -> bool:
        """Hear something, and say whether to fire now."""
        if self._of_copy(heard) or not concerns(self.site, heard) or not self._due(heard):
            return False
        self._target = (heard.fact.origin.service, heard.message, heard.queue)
        self.fired += 1
        return True

    def _of_copy(self, heard: Heard) -> bool:
        """Remember artificial copies, and know their settlements again."""
        fact = heard.fact
        if isinstance(fact, Delivered) and fact.copy:
            self._copies.add((fact.origin.service, fact.delivery))
            return True
        return isinstance(fact, Settled) and (fact.origin.service, fact.delivery) in self._copies

    def _due(self, heard: Heard) -> bool:
        if self._target is None:
            wanted = self.site.attempt
            return not wanted or heard.attempt in (wanted, 0) or isinstance(heard.fact, Published)
        if self.times and self.fired >= self.times:
            return False
        return self._target == (heard.fact.origin.service, heard.message, heard.queue)
