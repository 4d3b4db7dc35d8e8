from __future__ import annotations

from dataclasses import replace

import pytest
from misstep.harness.checkers.effects import effects
from misstep.harness.choreography.words import Effect
from misstep.harness.history.entries import Measured

from .stories import BARE, WHOLE, Story, case, compensated, completed, stalled


def net(**times: int) -> object:
    return replace(WHOLE, effects={"charge": Effect(name="charge", store="p", sql="s", times=times)})  # type: ignore[arg-type]


def test_each_effect_once_is_valid() -> None:
    verdict = effects(case(completed().quiet().measured(A=1)))
    assert (verdict.answer, verdict.asked) == ("valid", 1)


def test_twice_is_invalid_and_says_so() -> None:
    verdict = effects(case(completed().quiet().measured(A=2)))
    assert verdict.answer == "invalid"
    assert [f.text for f in verdict.findings] == [
        "charge of saga 1 (A) happened 2 times, expected 1 (the saga completed)"
    ]
    assert verdict.findings[0].key == "effects/charge/completed/many"


def test_never_is_invalid_where_the_saga_completed() -> None:
    assert effects(case(completed().quiet().measured())).answer == "invalid"


def test_too_many_is_invalid_even_before_quiescence_too_few_is_not() -> None:
    assert effects(case(completed().quiet("moving").measured(A=2))).answer == "invalid"
    assert effects(case(completed().quiet("moving").measured())).answer == "unknown"


def test_a_compensated_saga_need_not_have_had_the_effect() -> None:
    assert effects(case(compensated().quiet().measured())).answer == "valid"
    assert effects(case(compensated().quiet().measured(A=1))).answer == "valid"
    assert effects(case(compensated().quiet().measured(A=2))).answer == "invalid"


def test_a_compensated_saga_must_have_had_the_effect_where_clean_ones_of_its_way_did() -> None:
    clean = compensated("B").quiet().measured(B=1)
    assert effects(case(compensated().quiet().measured(), clean)).answer == "invalid"


def test_a_net_effect_must_be_gone_after_compensation() -> None:
    declared = net(completed=1, compensated=0)
    assert effects(case(compensated().quiet().measured(A=1), choreography=declared)).answer == "invalid"  # type: ignore[arg-type]
    assert effects(case(compensated().quiet().measured(A=0), choreography=declared)).answer == "valid"  # type: ignore[arg-type]


def test_a_saga_that_has_not_ended_has_an_upper_bound_alone() -> None:
    assert effects(case(stalled().quiet().measured())).answer == "valid"
    assert effects(case(stalled().quiet().measured(A=2))).answer == "invalid"


def test_an_effect_for_a_key_of_no_saga_is_invalid_where_clean_runs_had_none() -> None:
    clean = completed("B").quiet().measured(B=1)
    assert effects(case(completed().quiet().measured(A=1, other=1), clean)).answer == "invalid"


def test_keys_of_their_own_are_counted() -> None:
    clean = completed("B").quiet().measured(charge_1=1)
    assert effects(case(completed().quiet().measured(charge_7=1), clean)).answer == "valid"
    assert effects(case(completed().quiet().measured(charge_7=1, charge_8=1), clean)).answer == "invalid"


def test_without_a_declared_saga_clean_runs_say_how_often() -> None:
    free = replace(WHOLE, sagas={})
    clean = completed("B").quiet().measured(B=1)
    assert effects(case(completed().quiet().measured(), clean, choreography=free)).answer == "invalid"
    assert effects(case(completed().quiet().measured(A=1), clean, choreography=free)).answer == "valid"


@pytest.mark.parametrize("error", ["", "no such table: charges"])
def test_an_effect_that_was_not_counted_is_unknown(error: str) -> None:
    story = completed().quiet()
    if error:
        story.add(Measured, effect="charge", error=error)
    verdict = effects(case(story))
    assert verdict.answer == "unknown"
    assert (error or "never counted") in verdict.reason


def test_a_run_without_a_saga_is_vacuous() -> None:
    assert effects(case(Story().stage().quiet().measured())).answer == "unknown"


def test_nothing_declared_is_not_asked_and_says_what_to_add() -> None:
    verdict = effects(case(completed().quiet(), choreography=BARE))
    assert verdict.answer == "not asked"
    assert "[effects.NAME]" in verdict.reason
