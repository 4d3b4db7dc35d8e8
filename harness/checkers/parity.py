"""P: does the world look as it does after a fault-free run that ended the same way?"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from misstep.harness.checkers.soundness import last_quiet
from misstep.harness.checkers.verdict import Case, Finding, Verdict
from misstep.harness.choreography.plain import canonical
from misstep.harness.choreography.words import Choreography, Json
from misstep.harness.history.ending import SagaRun, Way, saga_runs
from misstep.harness.history.entries import Probed
from misstep.harness.history.history import History

HOW = """declare what the world can see when all is quiet:
[probes.NAME]
store = "STORE"
sql = "select COLUMN, sum(amount) from TABLE where order_id = {correlation} group by 1"
ignore = ["GENERATED_ID"]"""
NO_CLEAN_RUN = "no clean run ended the same way, so the saga checker judges alone"
SHORTEST_INNER = 6

GENERATED = (
    (re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|\b[0-9a-f]{32}\b"), "<uuid>"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?"), "<time>"),
)


@dataclass(frozen=True, slots=True)
class Look:
    """One look of a probe, comparable across runs."""

    probe: str
    saga: int
    value: Json
    keys: Mapping[str, str]


def parity(case: Case) -> Verdict:
    """Judge the probes at quiescence.

    A look scoped by a saga is compared with that of a clean saga of the same driver that went the same way; a look at
    everything with that of a clean run all of whose sagas did. Correlations are put in relation to their saga,
    generated ids and times count as equal, rows are compared without regard to their order. A stimulus that was
    refused, and whose saga never started, must have left nothing behind.
    """
    if not case.choreography.probes:
        return Verdict(checker="parity", answer="not asked", reason=HOW)
    runs = saga_runs(case.choreography, case.history)
    looks = case.history.of(Probed)
    errors = [f"probe {look.probe!r} could not look: {look.error}" for look in looks if look.error]
    missing = set(case.choreography.probes) - {look.probe for look in looks}
    errors += [f"probe {name!r} never looked" for name in sorted(missing)]
    clean = [_references(case.choreography, history) for history in case.clean]
    keys = _keys(runs)
    asked = 0
    findings: list[Finding] = []
    for probed in looks:
        if probed.error:
            continue
        look = Look(probed.probe, probed.saga, probed.value, keys)
        expected = [reference for each in clean for reference in _alike(look, runs, each)]
        refused = _refused(look, runs)
        asked += bool(expected or refused)
        if refused and not _empty(look.value):
            findings.append(_left_behind(look, refused))
        elif expected and not any(same(look, reference) for reference in expected):
            findings.append(_different(look, expected[0], runs))
    return _verdict(case, asked, findings, errors)


def _verdict(case: Case, asked: int, findings: list[Finding], errors: list[str]) -> Verdict:
    quiet = last_quiet(case.history)
    if findings and quiet and quiet.quiet:
        return Verdict(checker="parity", answer="invalid", findings=tuple(findings), asked=asked)
    reasons = list(errors)
    if findings:
        reasons.append("what was seen may still change: the run had not fallen quiet")
    if reasons:
        reason = "; ".join(reasons)
        return Verdict(checker="parity", answer="unknown", findings=tuple(findings), reason=reason, asked=asked)
    if not asked:
        return Verdict(checker="parity", answer="not asked", reason=NO_CLEAN_RUN)
    return Verdict(checker="parity", answer="valid", asked=asked)


Reference = tuple[tuple[SagaRun, ...], list[Look]]


def _references(choreography: Choreography, history: History) -> Reference:
    runs = saga_runs(choreography, history)
    keys = _keys(runs)
    return runs, [Look(p.probe, p.saga, p.value, keys) for p in history.of(Probed) if not p.error]


def _keys(runs: tuple[SagaRun, ...]) -> dict[str, str]:
    return {key: f"<saga {run.number}>" for run in runs for key in run.correlations}


def _alike(look: Look, runs: tuple[SagaRun, ...], reference: Reference) -> Iterator[Look]:
    """Yield the looks of a clean run that this one may be compared with, sagas numbered alike."""
    clean_runs, looks = reference
    ways, clean_ways = _ways(runs), _ways(clean_runs)
    whole = len(ways) == len(runs) > 0 and ways == clean_ways
    for clean in looks:
        if clean.probe != look.probe:
            continue
        if look.saga and clean.saga:
            if look.saga in ways and ways[look.saga] == clean_ways.get(clean.saga):
                yield Look(clean.probe, look.saga, clean.value, _renumbered(clean, look.saga))
        elif look.saga == clean.saga and whole:
            yield clean


def _ways(runs: tuple[SagaRun, ...]) -> dict[int, Way]:
    """Return the way of each saga that ended in one way, or that nothing was declared of."""
    return {run.number: run.way for run in runs if run.outcome in ("completed", "compensated", "undeclared")}


def _renumbered(look: Look, saga: int) -> dict[str, str]:
    own = f"<saga {look.saga}>"
    return {key: f"<saga {saga}>" if label == own else label for key, label in look.keys.items()}


def same(one: Look, other: Look) -> bool:
    """Say whether two looks show the same, keys of sagas and generated ids apart."""
    return _equal(one.value, other.value, one.keys, other.keys)


def _equal(a: Json, b: Json, keys_a: Mapping[str, str], keys_b: Mapping[str, str]) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        named_a = {_label(k, keys_a): v for k, v in a.items()}
        named_b = {_label(k, keys_b): v for k, v in b.items()}
        return named_a.keys() == named_b.keys() and all(
            _equal(v, named_b[k], keys_a, keys_b) for k, v in named_a.items()
        )
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and (
            all(_equal(x, y, keys_a, keys_b) for x, y in zip(a, b, strict=True)) or _same_rows(a, b, keys_a, keys_b)
        )
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return a == b or _label(a, keys_a) == _label(b, keys_b)


def _same_rows(a: list[Json], b: list[Json], keys_a: Mapping[str, str], keys_b: Mapping[str, str]) -> bool:
    """Compare rows, which have no order of their own where they are sorted by generated keys."""
    if not all(isinstance(row, list | dict) for row in (*a, *b)):
        return False
    return Counter(_text(row, keys_a) for row in a) == Counter(_text(row, keys_b) for row in b)


def _text(value: Json, keys: Mapping[str, str]) -> str:
    return canonical(_relabelled(value, keys))


def _relabelled(value: Json, keys: Mapping[str, str]) -> Json:
    if isinstance(value, dict):
        return {_label(k, keys): _relabelled(v, keys) for k, v in value.items()}
    if isinstance(value, list):
        return [_relabelled(item, keys) for item in value]
    return _label(value, keys) if isinstance(value, str) else value


def _label(value: Json, keys: Mapping[str, str]) -> str:
    """Return a value with what differs from run to run replaced by what it stands for."""
    text = value if isinstance(value, str) else json.dumps(value)
    if text in keys:
        return keys[text]
    if not isinstance(value, str):
        return text
    for key in sorted(keys, key=len, reverse=True):
        if len(key) >= SHORTEST_INNER:
            text = text.replace(key, keys[key])
    for pattern, stands in GENERATED:
        text = pattern.sub(stands, text)
    return text


def _refused(look: Look, runs: tuple[SagaRun, ...]) -> SagaRun | None:
    """Return the saga of a look where its stimulus was refused and it never started."""
    run = next((run for run in runs if run.number == look.saga), None)
    return run if run and run.outcome == "absent" and run.result != "ok" else None


def _left_behind(look: Look, run: SagaRun) -> Finding:
    shown = canonical(look.value)[:200]
    text = f"{run.title} was refused and never started, yet probe {look.probe!r} shows that it left {shown} behind"
    return Finding(text=text, saga=run.number, key=f"parity/{look.probe}/left behind")


def _empty(value: Json) -> bool:
    if isinstance(value, dict):
        return all(_empty(item) for item in value.values())
    if isinstance(value, list):
        return all(_empty(item) for item in value)
    return value in (None, "", 0, False, "0")


def _different(look: Look, expected: Look, runs: tuple[SagaRun, ...]) -> Finding:
    seen, wanted = _text(look.value, look.keys), _text(expected.value, expected.keys)
    start = next((i for i, (a, b) in enumerate(zip(seen, wanted, strict=False)) if a != b), min(len(seen), len(wanted)))
    run = next((run for run in runs if run.number == look.saga), None)
    what = f"{run.title} ({run.outcome})" if run else "the run"
    text = (
        f"probe {look.probe!r} of {what} shows {_around(seen, start)}, "
        f"where a clean run that ended the same way shows {_around(wanted, start)}"
    )
    return Finding(text=text, saga=look.saga, key=f"parity/{look.probe}")


def _around(text: str, place: int, width: int = 160) -> str:
    if len(text) <= width:
        return text
    first = max(0, min(place - width // 3, len(text) - width))
    return ("…" if first else "") + text[first : first + width] + ("…" if first + width < len(text) else "")
