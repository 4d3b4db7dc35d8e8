"""Saved failures: whole or not at all, and hostile or old files are left alone."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from misstep.chaos import delivery
from misstep.chaos.explorer.outcome import Failure
from misstep.chaos.explorer.store import LARGEST, load, read, save, source_of
from misstep.harness.errors import MisstepError, PlanError
from misstep.harness.plan import Drive, Plan

PLAN = Plan(drives=(Drive(driver="place_order"),), faults=(delivery.redeliver("order.placed", to="payment"),))


@pytest.fixture
def failure(model):
    import asyncio

    run = asyncio.run(model(breaks=lambda plan: "charge").run(PLAN, fresh=True))
    return Failure(plan=PLAN, found=PLAN, run=run, failed=2, of=2)


@pytest.fixture
def mine(choreography):
    return replace(choreography, source="choreography.toml")


@pytest.fixture
def keep(failure, choreography):
    def kept(folder, **names):
        return save(failure, replace(choreography, **{"source": "choreography.toml", **names}), folder)

    return kept


def test_a_saved_plan_is_read_back(keep, tmp_path, mine):
    file = keep(tmp_path / ".misstep" / "failures")
    assert file == tmp_path / ".misstep" / "failures" / f"{PLAN.digest}.json"
    assert read(file) == PLAN
    found, notes = load(file.parent, mine)
    assert [saved.plan for saved in found] == [PLAN]
    assert notes == []
    assert [other.name for other in file.parent.iterdir()] == [file.name]


def test_saving_twice_is_saving_once(keep, tmp_path):
    assert keep(tmp_path) == keep(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failure_of_another_choreography_in_the_same_folder_is_not_tried(keep, tmp_path, mine):
    keep(tmp_path, name="another")
    assert load(tmp_path, mine) == ([], [])


def test_a_failure_of_another_file_in_the_same_folder_is_not_tried(keep, tmp_path, mine):
    keep(tmp_path, source="naive.toml")
    assert load(tmp_path, mine) == ([], [])


def test_a_saved_failure_knows_its_choreography_file(keep, tmp_path):
    (tmp_path / "naive.toml").write_text("")
    file = keep(tmp_path / ".misstep" / "failures", source="naive.toml")
    assert source_of(file) == tmp_path / "naive.toml"


def test_a_source_cannot_lead_out_of_the_folder(keep, tmp_path):
    file = keep(tmp_path / ".misstep" / "failures", source="../../etc/passwd")
    assert str(source_of(file)) == "."


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"3",
        b"{}",
        b'{"misstep": 1}',
        b'{"misstep": 99, "plan": {}}',
        b'{"misstep": 1, "plan": {"drives": [{"driver": 3}]}}',
        b'{"misstep": 1, "plan": {"drives": [], "faults": "all"}}',
        b"[" * 100_000,
        b" " * (LARGEST + 1),
        json.dumps({"misstep": 1, "plan": {"drives": [], "faults": [{"kind": "x", "with": [1]}]}}).encode(),
    ],
    ids=lambda content: repr(content[:24]),
)
def test_what_is_not_understood_is_noted_and_left_alone(keep, tmp_path, content, mine):
    keep(tmp_path)
    bad = tmp_path / "0.json"
    bad.write_bytes(content)
    found, notes = load(tmp_path, mine)
    assert [saved.plan for saved in found] == [PLAN]
    assert len(notes) == 1
    assert notes[0].startswith("ignored 0.json: ")
    assert bad.read_bytes() == content


def test_a_folder_named_like_a_failure_is_noted(tmp_path, mine):
    (tmp_path / "0.json").mkdir()
    assert load(tmp_path, mine)[0] == []


def test_no_folder_is_no_failure(tmp_path, mine):
    assert load(tmp_path / "none", mine) == ([], [])


def test_a_bare_plan_can_be_replayed(tmp_path):
    file = tmp_path / "plan.json"
    file.write_text(PLAN.to_json())
    assert read(file) == PLAN


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(PlanError, match=r"there is no file .*gone\.json"):
        read(tmp_path / "gone.json")


def test_a_folder_that_cannot_be_written_is_named(keep, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MisstepError, match="cannot be kept in"):
        keep(tmp_path / "file")
