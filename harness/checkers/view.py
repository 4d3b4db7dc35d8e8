"""V: did what a client saw move only along the allowed moves, and never back?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from misstep.harness.checkers.soundness import last_quiet
from misstep.harness.checkers.verdict import Case, Finding, Verdict
from misstep.harness.choreography.words import View
from misstep.harness.history.ending import saga_runs
from misstep.harness.history.entries import Drove, Seen

HOW = """declare what a client sees meanwhile, and how it may change:
[views.NAME]
http = "GET http://{services.SERVICE.address}/PATH/{correlation}"
value = "json:PATH"
allows = ["FROM -> TO"]"""


def view(case: Case) -> Verdict:
    """Judge each change that a client saw.

    Allowed moves are taken transitively, since looks miss states; the first sight may be any state that is named. There
    may be nothing to see before the first value, but not after it. A look that failed shows nothing, good or bad: a
    service that is down answers nobody. A view of a saga whose stimulus was taken, and of which nothing was ever seen,
    is unknown.
    """
    views = {name: declared for name, declared in case.choreography.views.items() if declared.allows}
    if not views:
        return Verdict(checker="view", answer="not asked", reason=HOW)
    looks: dict[tuple[str, int], list[Seen]] = {}
    for entry in case.history.of(Seen):
        looks.setdefault((entry.view, entry.saga), []).append(entry)
    titles = {run.number: run.title for run in saga_runs(case.choreography, case.history)}
    wrong: dict[str, Finding] = {}
    asked = 0
    for (name, saga), seen in looks.items():
        if name in views:
            found = Watched(views[name], saga, titles.get(saga, f"saga {saga}"))
            asked += any(not _failed(views[name], entry) and entry.value is not None for entry in seen)
            for finding in found.judge(seen):
                wrong.setdefault(f"{finding.saga}/{finding.key}", finding)
    if wrong:
        return Verdict(checker="view", answer="invalid", findings=tuple(wrong.values()), asked=asked)
    reasons = list(_blind(case, views, looks, titles))
    if reasons:
        return Verdict(checker="view", answer="unknown", reason="; ".join(reasons), asked=asked)
    return Verdict(checker="view", answer="valid", asked=asked)


@dataclass(frozen=True, slots=True)
class Watched:
    """One view of one saga."""

    view: View
    saga: int
    title: str

    def judge(self, looks: Iterable[Seen]) -> Iterator[Finding]:
        """Yield each wrong move; what follows it is judged from where it led."""
        reached = _reached(self.view.allows)
        states = {state for move in self.view.allows for state in move}
        last: Seen | None = None
        gone = False
        for entry in looks:
            if _failed(self.view, entry):
                continue
            if entry.value is None:
                if last is not None and not gone:
                    yield self._finding(last, entry, "was gone")
                gone = True
                continue
            gone = False
            if entry.value not in states:
                known = ", ".join(sorted(states))
                yield self._finding(last, entry, f"showed {entry.value!r}, which is none of its states ({known})")
                continue
            if last is not None and entry.value != last.value and entry.value not in reached[str(last.value)]:
                back = "back " if last.value in reached[entry.value] else ""
                yield self._finding(last, entry, f"went {back}to {entry.value!r}")
            last = entry

    def _finding(self, last: Seen | None, entry: Seen, what: str) -> Finding:
        before = f" after it had shown {last.value!r} at {last.at:.3f} s" if last else ""
        moves = ", ".join(f"{one} -> {other}" for one, other in self.view.allows)
        value = "nothing" if entry.value is None else entry.value
        return Finding(
            text=f"view {self.view.name!r} of {self.title} {what} at {entry.at:.3f} s{before}; allowed: {moves}",
            saga=self.saga,
            key=f"view/{self.view.name}/{last.value if last else ''}/{value}",
        )


def _reached(moves: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Return the states that each state may lead to, over any number of moves."""
    after: dict[str, set[str]] = {}
    for before, state in moves:
        after.setdefault(before, set()).add(state)
        after.setdefault(state, set())
    for middle, further in after.items():
        for states in after.values():
            if middle in states:
                states.update(further)
    return after


def _failed(view: View, entry: Seen) -> bool:
    """Say whether a look showed nothing: it had no answer, or that of a server which could not tell."""
    if entry.error:
        return True
    unable = view.value == "status" and (entry.value or "").startswith("5")
    return unable and not any(entry.value in move for move in view.allows)


def _blind(
    case: Case,
    views: Mapping[str, View],
    looks: Mapping[tuple[str, int], list[Seen]],
    titles: Mapping[int, str],
) -> Iterator[str]:
    drove = [entry for entry in case.history.of(Drove) if entry.result == "ok"]
    if not drove and not looks:
        yield "no saga was started, so there was nothing to see"
    for name, declared in views.items():
        for entry in drove:
            seen = looks.get((name, entry.saga), [])
            if any(not _failed(declared, look) and look.value is not None for look in seen):
                continue
            error = next((f": {look.error}" for look in reversed(seen) if look.error), "")
            yield f"view {name!r} of {titles.get(entry.saga, f'saga {entry.saga}')} never showed anything{error}"
    if last_quiet(case.history) is None:
        yield "the run was cut short before it fell quiet"
