"""E: did each declared effect happen as often as it should for each business key?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from misstep.harness.checkers.verdict import Case, Finding, Verdict
from misstep.harness.choreography.words import Effect
from misstep.harness.history.ending import SagaRun, Way, saga_runs
from misstep.harness.history.entries import Measured, Quiet
from misstep.harness.history.history import History

HOW = """declare what must happen once for each business key:
[effects.NAME]
store = "STORE"
sql = "select order_id, count(*) from TABLE where order_id = {correlation} group by 1"
times = 1"""


def effects(case: Case) -> Verdict:
    """Judge how often each effect happened.

    A saga that completed must show each effect exactly as often as declared; one that was compensated no more often,
    and no less often where zero is declared or a clean run that went the same way had it. One that has not ended, never
    started or whose stimulus failed has an upper bound alone. Where keys are no saga's correlation, their number is
    compared instead.
    """
    declared = case.choreography.effects
    if not declared:
        return Verdict(checker="effects", answer="not asked", reason=HOW)
    runs = saga_runs(case.choreography, case.history)
    measured = {entry.effect: entry for entry in case.history.of(Measured)}
    blind = [_blind(name, measured.get(name)) for name in declared]
    findings: list[Finding] = []
    asked = 0
    clean = [(saga_runs(case.choreography, h), {m.effect: m for m in h.of(Measured)}) for h in case.clean]
    for name, effect in declared.items():
        if _blind(name, measured.get(name)):
            continue
        counts = measured[name].counts
        seen = [
            (sagas, counted[name].counts) for sagas, counted in clean if name in counted and not counted[name].error
        ]
        asked += sum(1 for run in runs if run.published)
        findings += _judge(effect, counts, runs, seen)
    if findings and _settled(case.history):
        return Verdict(checker="effects", answer="invalid", findings=tuple(findings), asked=asked)
    return _unjudged(case.history, findings, [reason for reason in blind if reason], asked)


def _unjudged(history: History, findings: list[Finding], blind: list[str], asked: int) -> Verdict:
    """Return the verdict where nothing is proven wrong."""
    too_many = tuple(finding for finding in findings if finding.key.endswith("/many"))
    if too_many:
        return Verdict(checker="effects", answer="invalid", findings=too_many, asked=asked)
    reasons = [*blind, *(["effects may still be missing: the run had not fallen quiet"] if findings else [])]
    if not asked and not reasons:
        reasons = ["no saga was started, so no effect was due"]
    if not history.of(Quiet) and not reasons:
        reasons = ["the run was cut short before it fell quiet"]
    if reasons:
        return Verdict(
            checker="effects", answer="unknown", findings=tuple(findings), reason="; ".join(reasons), asked=asked
        )
    return Verdict(checker="effects", answer="valid", asked=asked)


def _settled(history: History) -> bool:
    quiet = history.of(Quiet)
    return bool(quiet) and quiet[-1].quiet


def _blind(name: str, measured: Measured | None) -> str:
    if measured is None:
        return f"effect {name!r} was never counted"
    return f"effect {name!r} could not be counted: {measured.error}" if measured.error else ""


Seen = tuple[tuple[SagaRun, ...], Mapping[str, int]]


def _judge(
    effect: Effect, counts: Mapping[str, int], runs: tuple[SagaRun, ...], clean: list[Seen]
) -> Iterator[Finding]:
    keys = {key for run in runs for key in run.correlations}
    clean_keys = {key for sagas, _ in clean for run in sagas for key in run.correlations}
    keyed = any(key in keys for key in counts) or not counts or any(key in clean_keys for _, c in clean for key in c)
    if keyed:
        for run in runs:
            yield from _judge_saga(effect, sum(counts.get(key, 0) for key in run.correlations), run, clean)
        most = max(effect.times.values(), default=0)
        rest = {key: count for key, count in counts.items() if key not in keys}
        strange = any(not run.correlations for run in runs) or any(_unowned(sagas, c) for sagas, c in clean)
        allowed = most if strange or not clean else 0
        yield from _excess(effect, rest, allowed)
    else:
        most = max(effect.times.values(), default=0)
        yield from _excess(effect, counts, most)
        yield from _number_of_keys(effect, counts, runs, clean)


def _judge_saga(effect: Effect, count: int, run: SagaRun, clean: list[Seen]) -> Iterator[Finding]:
    least, most = _bounds(effect, run, clean)
    if least <= count <= most:
        return
    expected = f"expected {most}" if least == most else f"expected {least} to {most}" if least else f"at most {most}"
    times = "once" if count == 1 else f"{count} times"
    key = "many" if count > most else "few"
    went = {"open": "has not ended", "absent": "never started"}.get(run.outcome, run.outcome)
    text = f"{effect.name} of {run.title} happened {times}, {expected} (the saga {went})"
    yield Finding(text=text, saga=run.number, key=f"effects/{effect.name}/{run.outcome}/{key}")


def _bounds(effect: Effect, run: SagaRun, clean: list[Seen]) -> tuple[int, int]:
    """Return how often an effect of a saga must and may happen."""
    most = max(effect.times.values(), default=0)
    alike = _counts_of(run.way, clean)
    if run.outcome == "undeclared":
        # Without a declared saga only a clean run of the same driver can say that it should have happened.
        return (min(alike), max(most, *alike)) if alike else (0, most)
    if run.ending is None or run.ending not in effect.times:
        return 0, most
    times = effect.times[run.ending]
    if run.ending == "completed" or times == 0:
        return times, times
    return (min(times, *alike) if alike else 0), times


def _counts_of(way: Way, clean: list[Seen]) -> list[int]:
    """Return how often the effect happened in the clean sagas that went a certain way."""
    return [
        sum(counts.get(key, 0) for key in run.correlations)
        for sagas, counts in clean
        for run in sagas
        if run.way == way
    ]


def _unowned(sagas: tuple[SagaRun, ...], counts: Mapping[str, int]) -> bool:
    keys = {key for run in sagas for key in run.correlations}
    return any(key not in keys for key in counts)


def _excess(effect: Effect, counts: Mapping[str, int], most: int) -> Iterator[Finding]:
    for key, count in counts.items():
        if count > most:
            times = "once" if count == 1 else f"{count} times"
            text = f"{effect.name} of {key!r} happened {times}, expected at most {most}"
            yield Finding(text=text, key=f"effects/{effect.name}/key/many")


def _number_of_keys(
    effect: Effect, counts: Mapping[str, int], runs: tuple[SagaRun, ...], clean: list[Seen]
) -> Iterator[Finding]:
    """Compare how many keys there are, where they name no saga: with clean runs that went alike, else by sagas."""
    found = sum(1 for count in counts.values() if count)
    ways = Counter(run.way for run in runs)
    alike = [
        sum(1 for count in counted.values() if count)
        for sagas, counted in clean
        if Counter(run.way for run in sagas) == ways
    ]
    if alike:
        least, most = min(alike), max(alike)
    elif all(run.ending == "completed" for run in runs) and effect.times.get("completed"):
        least, most = len(runs), found
    else:
        return
    if least <= found <= most:
        return
    key = "many" if found > most else "few"
    text = f"{effect.name} happened for {found} keys, expected {least if found < least else most}"
    yield Finding(text=text, key=f"effects/{effect.name}/keys/{key}")
