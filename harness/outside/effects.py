"""Effects, counted: how often what must happen once did happen, by business key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from misstep.harness.choreography.plain import text_of
from misstep.harness.choreography.requests import matches
from misstep.harness.choreography.words import Effect
from misstep.harness.errors import StoreFailed
from misstep.harness.outside.calls import Call, part_of
from misstep.harness.outside.queries import Query, bind


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How often an effect happened.

    Attributes:
        effect: Which.
        counts: How often, by business key; an empty key stands for whatever had none.
        error: Why it could not be counted; empty when it was.
    """

    effect: str
    counts: Mapping[str, int] = field(default_factory=dict)
    error: str = ""


async def measure(
    effect: Effect, *, calls: Iterable[Call], query: Query, kinds: Mapping[str, str], correlation: str = ""
) -> Count:
    """Count an effect.

    Args:
        effect: The effect.
        calls: Every call of externals in the run.
        query: Asks a store.
        kinds: The kind of each store, by name.
        correlation: The saga that a query with ``{correlation}`` is asked for.
    """
    if effect.external:
        return keyed(effect, count_calls(effect, calls))
    sql, parameters = bind(effect.sql, kinds[effect.store], correlation)
    try:
        found = await query(effect.store, sql, parameters)
        return Count(effect=effect.name, counts=count_rows(found.rows))
    except (StoreFailed, ValueError) as error:
        return Count(effect=effect.name, error=f"effects.{effect.name} could not be counted: {error}")


def keyed(effect: Effect, counts: Mapping[str, int]) -> Count:
    """Return counts of calls, or an error where some had no business key: whose effects they were, nobody can say."""
    if effect.key and counts.get(""):
        lacking = f"{counts['']} of the calls have no {effect.key}; say where they keep their business key"
        return Count(effect=effect.name, error=f"effects.{effect.name}.key: {lacking}")
    return Count(effect=effect.name, counts=counts)


def count_calls(effect: Effect, calls: Iterable[Call]) -> dict[str, int]:
    """Count the calls of an external that mean an effect, by business key.

    A call that repeats an idempotency key does nothing again, so it does not count: neither where the external's answer
    says so (``once_by`` of the answer), nor where the effect does.
    """
    counts: Counter[str] = Counter()
    known: set[tuple[str, str]] = set()
    for call in calls:
        if call.external != effect.external or call.replay or not counts_as(effect, call):
            continue
        key = part_of(effect.key, call.path, call.headers, call.body) if effect.key else ""
        once = part_of(effect.once_by, call.path, call.headers, call.body) if effect.once_by else ""
        if not once or (key, once) not in known:
            counts[key] += 1
        known.add((key, once))
    return dict(counts)


def counts_as(effect: Effect, call: Call) -> bool:
    """Say whether a call is one of those that mean an effect."""
    understood = bool(call.method) and matches(effect.when, call.method, call.path)
    return understood and (call.status < 400 or not effect.status)


def count_rows(rows: Iterable[Sequence[object]]) -> dict[str, int]:
    """Read counts from a query's rows: business key and count; the same key twice is added up.

    Raises:
        ValueError: The rows are of another form.
    """
    counts: Counter[str] = Counter()
    for row in rows:
        if len(row) != 2:
            raise ValueError(f"a row is {row!r}: expected two columns, business key and count")
        key, count = row
        try:
            number = int(str(count)) if count is not None else 0
        except ValueError as error:
            raise ValueError(f"a row is {row!r}: expected a whole number in its second column") from error
        counts["" if key is None else text_of(key)] += number
    return dict(counts)
