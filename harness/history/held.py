"""What misstep keeps back on the links of a stage, until it is released or its connection ends."""

from __future__ import annotations

from collections.abc import Callable

from misstep.harness.history.wire_state import Outstanding
from misstep.harness.wire.facts import Origin
from misstep.harness.wire.interceptor import Action, Control, Cut, Drop, Heard, Kill


class Held:
    """The facts that are held on the links, and the controls that tell of their release.

    Args:
        go_on: Told each fact that was sent on after all.
    """

    def __init__(self, go_on: Callable[[Heard], None]) -> None:
        self._go_on = go_on
        self._held: dict[tuple[int, str], Heard] = {}
        self._controls: dict[int, RecordedControl] = {}

    def control(self, control: Control) -> RecordedControl:
        """Return the control of a link that tells us what it releases; always the same one for a link."""
        if isinstance(control, RecordedControl):
            return control
        if id(control) not in self._controls:
            self._controls[id(control)] = RecordedControl(control, self._released)
        return self._controls[id(control)]

    def keep(self, heard: Heard, ticket: str) -> None:
        """Note that a fact is held under ``ticket`` on its link."""
        self._held[id(_inner(heard.control)), ticket] = heard

    def given_up(self, origin: Origin, control: Control) -> list[Heard]:
        """Forget and return what was held on a connection, or on one channel of it, that has ended."""
        inner = id(_inner(control))
        gone = [key for key, heard in self._held.items() if key[0] == inner and within(origin, heard.fact.origin)]
        return [self._held.pop(key) for key in gone]

    def _released(self, control: Control, ticket: str, sent: bool) -> None:
        heard = self._held.pop((id(control), ticket), None)
        if heard is not None and sent:
            self._go_on(heard)


class RecordedControl:
    """A link's control that tells the recorder what it releases.

    Args:
        inner: The link's own.
        released: Told the link, the ticket, and whether anything was sent.
    """

    def __init__(self, inner: Control, released: Callable[[Control, str, bool], None]) -> None:
        self.inner = inner
        self._told = released

    def release(self, ticket: str) -> bool:
        """Send on what is held under ``ticket``; False when its connection is gone, so there is nothing to send."""
        sent = self.inner.release(ticket)
        self._told(self.inner, ticket, sent)
        return sent

    def inject(self, delivery: int) -> bool:
        """Deliver an artificial copy of an earlier delivery to the same consumer; False when that consumer is gone."""
        return self.inner.inject(delivery)

    def cut(self, connection: int | None = None) -> int:
        """Reset one connection, or all of the link; return how many were open."""
        return self.inner.cut(connection)

    def refuse(self, refused: bool) -> None:
        """While refused, new connections are accepted and reset at once, as from a host that is down."""
        self.inner.refuse(refused)

    def held(self) -> tuple[str, ...]:
        """Return the tickets that are held now."""
        return self.inner.held()


def within(origin: Origin, placed: Origin | Outstanding) -> bool:
    """Say whether something stands on the connection, or on the one channel, that ``origin`` names."""
    same = (origin.service, origin.connection) == (placed.service, placed.connection)
    return same and origin.channel in (0, placed.channel)


def stops(action: Action) -> bool:
    """Say whether the bytes never go on."""
    return isinstance(action, Drop) or (isinstance(action, Cut | Kill) and not action.after)


def _inner(control: Control) -> Control:
    return control.inner if isinstance(control, RecordedControl) else control
