"""C: does the chain of causes stay bounded, or do services answer each other for ever?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from misstep.harness.checkers.soundness import last_quiet
from misstep.harness.checkers.verdict import Case, Finding, Verdict
from misstep.harness.history.ending import saga_runs
from misstep.harness.history.entries import Published
from misstep.harness.history.history import History

Edges = Mapping[str, set[str]]
SHOWN = 6
"""How many messages at the end of a long chain a finding shows."""


def cycle(case: Case) -> Verdict:
    """Judge how long the chains of causes of each saga became.

    One that is longer than ``[progress] depth`` is invalid. Events that lead back to themselves are a warning alone: a
    correct system may go round and stop by itself. Where one still went round when the run ended, it is unknown.
    """
    published = case.history.of(Published)
    chains = [chain for chain in _deepest(published).values() if chain]
    limit = case.choreography.progress.depth
    titles = {run.number: run.title for run in saga_runs(case.choreography, case.history)}
    findings = [_too_deep(chain, limit, titles) for chain in chains if chain[-1].depth > limit]
    asked = len(published)
    if findings:
        return Verdict(checker="cycle", answer="invalid", findings=tuple(findings), asked=asked)
    warnings = tuple(_rounds(case, published))
    reason = _undecided(case.history, chains)
    return Verdict(
        checker="cycle", answer="unknown" if reason else "valid", findings=warnings, reason=reason, asked=asked
    )


def _undecided(history: History, chains: list[list[Published]]) -> str:
    if not chains:
        return "no message was published, so nothing could lead to anything"
    quiet = last_quiet(history)
    if quiet is None:
        return "the run was cut short before it fell quiet"
    if quiet.quiet:
        return ""
    going = next((chain for chain in chains if any(e.event == chain[-1].event for e in chain[:-1])), None)
    if going is None:
        return ""
    return f"{_arrows(going[-SHOWN:])} still went round when the run ended, {going[-1].depth} causes deep"


def _deepest(published: Iterable[Published]) -> dict[int, list[Published]]:
    """Return the longest chain of causes of each saga, from its start, as far as it was seen."""
    named: dict[str, Published] = {}
    ends: dict[int, Published] = {}
    for entry in published:
        named.setdefault(entry.message, entry)
        if entry.saga not in ends or entry.depth > ends[entry.saga].depth:
            ends[entry.saga] = entry
    return {saga: _chain(end, named) for saga, end in ends.items()}


def _chain(end: Published, named: Mapping[str, Published]) -> list[Published]:
    chain = [end]
    seen = {end.message}
    while (cause := named.get(chain[-1].cause)) is not None and cause.message not in seen:
        seen.add(cause.message)
        chain.append(cause)
    return chain[::-1]


def _too_deep(chain: list[Published], limit: int, titles: Mapping[int, str]) -> Finding:
    last = chain[-1]
    title = titles.get(last.saga, "no saga")
    part, times = _repeating(chain)
    if times > 1:
        events = sorted({entry.event for entry in part})
        what = f"{_arrows(part)} again and again, {times} times"
        key = "+".join(events)
    else:
        what = f"ends with {_arrows(chain[-SHOWN:])}"
        key = last.event
    text = f"a chain of causes of {title} is {last.depth} messages long, more than the {limit} that are allowed: {what}"
    return Finding(
        text=text,
        saga=last.saga,
        service=last.service,
        messages=tuple(entry.message for entry in (part if times > 1 else chain[-SHOWN:])),
        key=f"cycle/depth/{key}",
    )


def _repeating(chain: Sequence[Published]) -> tuple[list[Published], int]:
    """Return the shortest part that a chain's end repeats, at its last time, and how often it comes in a row."""
    steps = [(entry.service, entry.event) for entry in chain]
    for length in range(1, len(steps) // 2 + 1):
        times = 1
        while steps[-length:] == steps[-length * (times + 1) : -length * times]:
            times += 1
        if times > 1:
            return list(chain[-length:]), times
    return list(chain), 1


def _arrows(chain: Iterable[Published]) -> str:
    return " -> ".join(f"{entry.event} (from {entry.service or 'the driver'})" for entry in chain)


def _rounds(case: Case, published: Sequence[Published]) -> Iterator[Finding]:
    """Yield each set of events that can lead back to themselves, as a warning."""
    merged: dict[str, set[str]] = defaultdict(set)
    for entries in (published, *(history.of(Published) for history in case.clean)):
        for event, led_to in _edges(entries).items():
            merged[event] |= led_to
    returned = _returned(published)
    told: set[str] = set()
    for event in sorted(merged):
        way = _way_back(event, merged)
        if not way or told & set(way):
            continue
        told |= set(way)
        led = "led" if returned & set(way) else "can lead"
        text = f"{' -> '.join(way)} {led} back to where it began: what ends it?"
        yield Finding(text=text, key=f"cycle/round/{'+'.join(sorted(set(way)))}", warning=True)


def _edges(published: Iterable[Published]) -> dict[str, set[str]]:
    """Return which events led to which."""
    events: dict[str, str] = {}
    edges: dict[str, set[str]] = defaultdict(set)
    for entry in published:
        events.setdefault(entry.message, entry.event)
        if entry.cause in events:
            edges[events[entry.cause]].add(entry.event)
    return edges


def _returned(published: Iterable[Published]) -> set[str]:
    """Return the events that were among the causes of one of their own kind."""
    before: dict[str, frozenset[str]] = {}
    found: set[str] = set()
    for entry in published:
        causes = before.get(entry.cause, frozenset())
        found |= {entry.event} & causes
        before.setdefault(entry.message, causes | {entry.event})
    return found


def _way_back(event: str, edges: Edges) -> list[str]:
    """Return a shortest way from an event back to itself, both ends named; nothing where there is none."""
    ways: dict[str, list[str]] = {}
    ahead = [event]
    while ahead:
        at = ahead.pop(0)
        for after in sorted(edges.get(at, ())):
            if after == event:
                return [*ways.get(at, [event]), event]
            if after not in ways:
                ways[after] = [*ways.get(at, [event]), after]
                ahead.append(after)
    return []
