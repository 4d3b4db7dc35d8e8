from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from misstep.harness.checkers.contract import contract
from misstep.harness.checkers.verdict import Case
from misstep.harness.choreography.words import EventRules, Step
from misstep.harness.history import entries
from misstep.harness.history.payload import LARGEST, shown_body

from .stories import BARE, SAGA, WHOLE, Story, case, compensated, completed

JSON = {"content_type": "application/json"}


def advice(judged: Case) -> list[str]:
    verdict = contract(judged)
    assert verdict.answer == "valid"
    assert all(finding.warning for finding in verdict.findings)
    return [finding.key.removeprefix("contract/") for finding in verdict.findings]


def carrying(body: bytes, **properties: Any) -> Story:
    """An order that is published with this body."""
    story = Story().stage()
    fields = {"body": shown_body(body), "size": len(body), "properties": properties or JSON}
    story.publish("order", "order.placed", **fields)
    return story


@pytest.mark.parametrize("story", [completed, compensated])
def test_a_saga_in_which_all_is_handled_has_no_findings(story: Any) -> None:
    verdict = contract(case(story().quiet(), story().quiet()))
    assert (verdict.answer, verdict.findings) == ("valid", ())
    assert verdict.asked


def test_without_services_it_is_not_asked_and_without_messages_it_is_unknown() -> None:
    assert contract(case(completed(), choreography=BARE)).answer == "not asked"
    verdict = contract(case(Story().stage().quiet()))
    assert (verdict.answer, verdict.reason) == ("unknown", "nothing was published")


class TestContentType:
    @pytest.mark.parametrize(
        "body",
        [b"{'order_id': 7}", b"order 7", b"", b"\xff\xfe", b'"caf\xe9', b'{"order_id": NaN}', b"null\x00", b'"'],
    )
    def test_what_is_no_json_must_not_say_so(self, body: bytes) -> None:
        verdict = contract(case(carrying(body)))
        assert verdict.answer == "invalid"
        (finding,) = verdict.findings
        assert finding.key == "contract/content type/order/order.placed"
        assert not finding.warning
        assert "order.placed from order says it is application/json, but is no JSON: " in finding.text

    @pytest.mark.parametrize(
        "data", [{"order_id": 7}, [1, 2], None, 7, True, "", "order 7", '"quoted"', "caf\xe9", "\u2028", "\ud83d\ude00"]
    )
    @pytest.mark.parametrize("ascii_only", [True, False])
    def test_all_that_is_json_may(self, data: object, ascii_only: bool) -> None:
        body = json.dumps(data, ensure_ascii=ascii_only).encode(errors="surrogatepass")
        if not ascii_only and data == "\ud83d\ude00":
            body = '"\N{GRINNING FACE}"'.encode()
        assert contract(case(carrying(body))).answer == "valid"

    @pytest.mark.parametrize(
        "properties",
        [
            {"content_type": "text/plain"},
            {"message_id": "7"},
            {"content_type": "application/json", "content_encoding": "gzip"},
        ],
    )
    def test_who_says_something_else_is_believed(self, properties: dict[str, Any]) -> None:
        assert contract(case(carrying(b"order 7", **properties))).answer == "valid"

    @pytest.mark.parametrize(
        "properties",
        [
            {"content_type": "application/json; charset=utf-8"},
            {"content_type": "application/vnd.order+json"},
            {"content_type": "Application/JSON", "content_encoding": "utf-8"},
        ],
    )
    def test_json_has_several_names(self, properties: dict[str, Any]) -> None:
        assert contract(case(carrying(b"order 7", **properties))).answer == "invalid"

    def test_what_a_history_does_not_keep_whole_is_not_judged(self) -> None:
        assert contract(case(carrying(b"[" + b"1," * LARGEST + b"1]"))).answer == "valid"
        assert contract(case(carrying(b"x" * (LARGEST + 1)))).answer == "valid"

    def test_an_event_is_told_once(self) -> None:
        story = carrying(b"order 7")
        story.publish("order", "order.placed", name="1:again", body="order 7", size=7, properties=JSON)
        (finding,) = contract(case(story)).findings
        assert "(2 times)" in finding.text
        assert finding.messages == ("1:order.placed", "1:again")


class TestUnhandled:
    @staticmethod
    def told(event: str = "stock.counted", **fields: Any) -> Story:
        story = completed()
        story.publish("stock", event, "1:order.placed", **fields)
        return story.quiet()

    def test_an_event_that_no_queue_takes_is_a_warning(self) -> None:
        verdict = contract(case(self.told(owed=())))
        assert verdict.answer == "valid"
        (finding,) = verdict.findings
        assert finding.text == "stock.counted is published by stock, and nobody handles it: no queue is bound for it"

    def test_so_is_one_whose_queue_nobody_consumes(self) -> None:
        assert advice(case(self.told(owed=("parked",)))) == ["unhandled/stock.counted"]

    def test_one_that_is_handled_in_a_clean_run_is_fine(self) -> None:
        assert not advice(case(self.told(owed=("parked",)), self.told(owed=("stock",))))
        assert not advice(case(self.told(owed=None)))

    @pytest.mark.parametrize("event", ["order.shipped", "order.cancelled", "payment.refunded", "payment.taken"])
    def test_what_a_saga_declares_needs_no_listener(self, event: str) -> None:
        story = Story().stage()
        story.publish("order", event, owed=())
        assert not advice(case(story))

    def test_ignored_events_need_none(self) -> None:
        ignoring = replace(WHOLE, events=EventRules(ignore=("stock.c*",)))
        assert not advice(case(self.told(owed=()), choreography=ignoring))

    @pytest.mark.parametrize(
        ("arguments", "properties", "waits"),
        [
            ({"x-dead-letter-exchange": "events", "x-message-ttl": 500}, {}, True),
            ({"x-dead-letter-exchange": "events"}, {"expiration": "500"}, True),
            ({"x-dead-letter-exchange": "events"}, {}, False),
            ({"x-message-ttl": 500}, {}, False),
        ],
    )
    def test_one_that_waits_for_its_time_is_fine(
        self, arguments: dict[str, Any], properties: dict[str, Any], waits: bool
    ) -> None:
        story = self.told(owed=("later",), properties=properties)
        story.add(entries.Queue, queue="later", service="stock", arguments=arguments)
        assert advice(case(story)) == ([] if waits else ["unhandled/stock.counted"])


class TestUnemitted:
    @staticmethod
    def bound(story: Story, key: str, *, kind: str = "topic", queue: str = "stock", **fields: Any) -> Story:
        story.add(entries.Exchange, exchange="events", kind=kind, service="order")
        story.add(entries.Binding, source="events", target=queue, routing_key=key, service="stock", **fields)
        return story

    def test_what_nobody_emits_though_all_was_tried_is_a_warning(self) -> None:
        story = self.bound(completed(), "order.payed")
        assert advice(case(story, completed(), compensated())) == ["unemitted/order.payed"]
        (finding,) = contract(case(story, completed(), compensated())).findings
        assert finding.text == (
            "order.payed is what stock waits for in 'stock', and nobody emits it in any of 2 clean runs of all drivers"
        )

    def test_where_not_all_was_tried_nothing_is_said(self) -> None:
        story = self.bound(completed(), "order.payed")
        assert not advice(case(story))
        assert not advice(case(story, completed()))
        more = replace(WHOLE, drivers={**WHOLE.drivers, "cancel": replace(WHOLE.drivers["place"], name="cancel")})
        assert not advice(case(story, completed(), compensated(), choreography=more))

    @pytest.mark.parametrize(
        ("key", "fields"),
        [
            ("payment.taken", {}),
            ("stock.out", {}),
            ("order.*", {}),
            ("#", {}),
            ("", {}),
            ("order.payed", {"kind": "fanout"}),
            ("order.payed", {"queue": "parked"}),
            ("order.payed", {"to_exchange": True}),
        ],
    )
    def test_what_is_emitted_or_not_meant_by_name_is_fine(self, key: str, fields: dict[str, Any]) -> None:
        assert not advice(case(self.bound(completed(), key, **fields), completed(), compensated()))

    def test_a_binding_that_is_gone_waits_for_nothing(self) -> None:
        story = self.bound(self.bound(completed(), "order.payed"), "order.payed", bound=False)
        assert not advice(case(story, completed(), compensated()))

    def test_dead_letters_come_by_keys_of_their_own(self) -> None:
        story = self.bound(completed(), "order.payed")
        story.add(entries.Queue, queue="order", service="order", arguments={"x-dead-letter-exchange": "events"})
        assert not advice(case(story, completed(), compensated()))

    def test_a_step_that_nobody_takes_has_another_name(self) -> None:
        misspelt = replace(WHOLE, sagas={"order": replace(SAGA, steps=(*SAGA.steps, Step("order.payed")))})
        told = case(completed(), completed(), compensated(), choreography=misspelt)
        assert advice(told) == ["unemitted/order.payed"]
        assert not advice(case(completed(), completed(), choreography=misspelt))
