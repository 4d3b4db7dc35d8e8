"""The command line: what it takes, and what it ends with."""

from __future__ import annotations

import json

import pytest
from misstep.chaos import delivery
from misstep.chaos.commands.explore import Duration
from misstep.harness.cli import status
from misstep.harness.exit_status import USAGE
from misstep.harness.plan import Drive, Plan

FILE = """
[choreography]
name = "one service"

[services.payment]
command = "payment"

[drivers.place_order]
publish = "order.placed"
json = { order_id = "{correlation}" }

[sagas.order]
starts = "order.placed"
completes = "payment.taken"
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "choreography.toml").write_text(FILE)
    return tmp_path


@pytest.mark.parametrize(("text", "seconds"), [("40", 40), ("40s", 40), ("10m", 600), ("1.5h", 5400)])
def test_durations_are_seconds(text, seconds):
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-3", "0", "10 m", "1d"])
def test_what_is_no_duration_is_refused(project, capsys, text):
    assert status(["explore", str(project), "--time", text]) == USAGE
    assert "is no duration" in capsys.readouterr().err or text == "-3"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--only", "paymnt"], "did you mean 'payment'"),
        (["--faults", "3"], "3"),
        (["--stage", "moon"], "moon"),
        (["--jobs", "0"], "0"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_wrong_usage_of_explore_is_told(project, capsys, arguments, says):
    assert status(["explore", str(project), *arguments]) == USAGE
    assert says in capsys.readouterr().err


def test_a_choreography_that_is_not_there_is_wrong_usage(tmp_path, capsys):
    assert status(["explore", str(tmp_path / "none")]) == USAGE
    assert "misstep init" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is no saved failure"),
        ('{"drives": [{"driver": "place_ordr"}]}', "did you mean 'place_order'"),
        (
            Plan(drives=(Drive(driver="place_order"),), faults=(delivery.redeliver("a", to="paymnt"),)).to_json(),
            "did you mean 'payment'",
        ),
        (json.dumps({"misstep": 7}), "reads form 1"),
    ],
)
def test_wrong_usage_of_replay_is_told(project, capsys, content, says):
    file = project / "plan.json"
    file.write_text(content)
    assert status(["replay", str(file), str(project)]) == USAGE
    assert says in capsys.readouterr().err


def test_a_plan_that_is_not_there_is_wrong_usage(project, capsys):
    assert status(["replay", str(project / "gone.json"), str(project)]) == USAGE
    assert "there is no file" in capsys.readouterr().err
