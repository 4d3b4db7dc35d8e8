"""What a person reads at the end of a search, and while it goes."""

from __future__ import annotations

import asyncio
import re
from io import StringIO

import pytest
from misstep.chaos.explorer.search import Search, Wish
from misstep.chaos.progress import Bar
from misstep.chaos.report import show
from rich.console import Console


@pytest.fixture
def report(choreography):
    def text(bench, **wish):
        file = StringIO()
        with Bar(Console(file=StringIO())) as bar:
            going = Search(choreography, [bench], stage="model", wish=Wish(**wish), clock=lambda: 0.0, watching=bar)
            found = asyncio.run(going.run())
        show(Console(file=file, width=160, no_color=True), found, choreography)
        return file.getvalue()

    return text


def redelivery_breaks(plan):
    return "charge" if any(f.kind == "delivery.redeliver" and f.at.service == "payment" for f in plan.faults) else None


def test_a_valid_search_ends_with_its_verdict_and_shows_the_table(report, model):
    text = report(model())
    assert re.search(r"payment ← order\.placed .*✓", text)
    assert re.search(r"(\d+) of \1 site × fault exercised", text)
    assert text.rstrip().splitlines()[-1].startswith("order saga on model: valid (")


def test_a_failure_shows_the_plan_the_evidence_the_timeline_and_a_test(report, model, tmp_path):
    text = report(model(breaks=redelivery_breaks), saved=tmp_path)
    assert "✗ 2 invalid" in text
    assert "failed 2 of 2 fresh runs on model, and so did 1 other plan; the smallest plan:" in text
    assert "fault 1: delivery.redeliver at ack of order.placed by payment" in text
    assert "charge happened twice" in text
    assert "timeline of saga 1" in text
    assert '@pytest.mark.chaos(delivery.redeliver("order.placed", to="payment"))' in text
    assert f"again: misstep replay {tmp_path}" in text.replace("\n", "")
    assert "order saga on model: invalid: 1 failing plan (" in text


def test_what_was_not_tried_and_what_says_nothing_is_told(report, model):
    text = report(model(never=lambda fault: fault.kind == "link.refuse"))
    assert "vacuous: place_order with link.refuse at publish of order.placed by order, by=1.0: never fired:" in text
    assert "unknown: 6 plans say nothing" in text
    assert "  0 " in text
    late = report(model(), seconds=0)
    assert "·" in late
    assert re.search(r"\d+ not tried\)", late)


def test_a_red_clean_run_is_shown_in_full(report, model):
    text = report(model(breaks=lambda plan: "charge"))
    assert "without any fault" in text
    assert "saga 1: place_order()" in text
    assert "order saga on model: invalid: driver place_order is invalid without any fault" in text


def test_markup_in_names_is_shown_as_it_is(report, model):
    text = report(model(breaks=lambda plan: "[bold]charge[/x]" if plan.faults else None), fail_fast=True)
    assert "[bold]charge[/x] happened twice" in text


def test_progress_shows_what_is_tried_and_how_long_is_left(model, choreography):
    file = StringIO()
    console = Console(file=file, width=200, force_terminal=True)
    with Bar(console) as bar:
        going = Search(
            choreography, [model(breaks=redelivery_breaks)], stage="model", wish=Wish(), clock=lambda: 0.0, watching=bar
        )
        asyncio.run(going.run())
    drawn = file.getvalue()
    assert "plans of one fault" in drawn
    assert "not valid" in drawn
    assert re.search(r"\d+/\d+", drawn)


def test_progress_is_a_line_a_part_where_there_is_no_terminal(model, choreography):
    file = StringIO()
    with Bar(Console(file=file, width=200)) as bar:
        going = Search(choreography, [model()], stage="model", wish=Wish(), clock=lambda: 0.0, watching=bar)
        asyncio.run(going.run())
    assert re.fullmatch(r"clean runs: 2\nplans of one fault: \d+\n", file.getvalue())
