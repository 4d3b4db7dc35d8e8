from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from misstep.harness.checkers.parity import parity

from .stories import BARE, WHOLE, Story, case, compensated, completed, stalled


def run(value: Any, key: str = "A", saga: int = 1) -> Story:
    return completed(key).quiet().probed(value, saga=saga)


def test_the_same_as_a_clean_run_is_valid_keys_apart() -> None:
    verdict = parity(case(run([["order-A", 100]], "order-A"), run([["order-B", 100]], "order-B")))
    assert (verdict.answer, verdict.asked) == ("valid", 1)


def test_a_difference_is_invalid_and_shown() -> None:
    verdict = parity(case(run([["A", 200]]), run([["B", 100]], "B")))
    assert verdict.answer == "invalid"
    assert '[["<saga 1>",200]]' in verdict.findings[0].text
    assert '[["<saga 1>",100]]' in verdict.findings[0].text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"id": "7d444840-9dc0-11d1-b245-5ffdce74fad2"}, {"id": "17444840-9dc0-11d1-b245-5ffdce74fad2"}),
        ({"at": "2024-05-01T10:00:00Z"}, {"at": "2025-01-01 09:00:00.5"}),
        ([["x", 1], ["y", 2]], [["y", 2], ["x", 1]]),
        ({"A": "paid"}, {"B": "paid"}),
        ("receipt for order-A-1", "receipt for order-B-1"),
    ],
)
def test_what_is_generated_counts_as_equal(one: Any, other: Any) -> None:
    keys = ("order-A-1", "order-B-1") if isinstance(one, str) else ("A", "B")
    assert parity(case(run(one, keys[0]), run(other, keys[1]))).answer == "valid"


@pytest.mark.parametrize(("one", "other"), [(1, 2), ([1], [1, 1]), ({"a": 1}, {"b": 1}), (True, 1), ("1", 1.5)])
def test_what_is_not_generated_does_not(one: Any, other: Any) -> None:
    assert parity(case(run(one), run(other, "B"))).answer == "invalid"


def test_numeric_keys_are_keys_and_counts_are_counts() -> None:
    assert parity(case(run([[17, 1]], "17"), run([[1, 1]], "1"))).answer == "valid"
    assert parity(case(run([[17, 2]], "17"), run([[1, 1]], "1"))).answer == "invalid"


def test_one_clean_run_that_agrees_is_enough() -> None:
    assert parity(case(run(1), run(2, "B"), run(1, "C"))).answer == "valid"


def test_a_look_at_everything_is_compared_where_all_sagas_went_alike() -> None:
    assert parity(case(run(2, saga=0), run(1, "B", saga=0))).answer == "invalid"
    other = compensated("B").quiet().probed(1, saga=0)
    assert parity(case(run(2, saga=0), other)).answer == "not asked"


def test_another_ending_is_not_compared() -> None:
    verdict = parity(case(compensated().quiet().probed(0), run(1, "B")))
    assert (verdict.answer, "saga checker" in verdict.reason) == ("not asked", True)
    assert parity(case(stalled().quiet().probed(0), run(1, "B"))).answer == "not asked"


def test_a_first_clean_run_has_nothing_to_be_compared_with() -> None:
    assert parity(case(run(1))).answer == "not asked"


def test_a_refused_stimulus_must_leave_nothing_behind() -> None:
    def refused(value: Any) -> Story:
        story = Story().stage()
        story.drive(result="fail")
        return story.quiet().probed(value)

    assert parity(case(refused([]), run(1, "B"))).answer == "valid"
    assert parity(case(refused([[0, None]]), run(1, "B"))).answer == "valid"
    verdict = parity(case(refused([["A", "pending"]]), run(1, "B")))
    assert (verdict.answer, "left" in verdict.findings[0].text) == ("invalid", True)


def test_before_quiescence_a_difference_is_unknown() -> None:
    assert parity(case(completed().quiet("moving").probed(2), run(1, "B"))).answer == "unknown"


def test_a_probe_that_could_not_look_or_never_did_is_unknown() -> None:
    broken = completed().quiet().probed(None, error="connection refused")
    assert "connection refused" in parity(case(broken, run(1, "B"))).reason
    assert "never looked" in parity(case(completed().quiet(), run(1, "B"))).reason


def test_without_declared_sagas_every_clean_run_of_the_driver_compares() -> None:
    free = replace(WHOLE, sagas={})
    assert parity(case(run(2), run(1, "B"), choreography=free)).answer == "invalid"


def test_nothing_declared_is_not_asked() -> None:
    verdict = parity(case(run(1), choreography=BARE))
    assert (verdict.answer, "[probes.NAME]" in verdict.reason) == ("not asked", True)
