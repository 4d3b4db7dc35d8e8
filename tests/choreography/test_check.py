"""What must hold across a choreography that was written in code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from misstep.harness.choreography.check import check, must_hold
from misstep.harness.choreography.words import (
    Answer,
    Choreography,
    Driver,
    Effect,
    EventRules,
    External,
    Probe,
    QuietRules,
    Ready,
    Saga,
    Service,
    Step,
    Store,
    View,
)
from misstep.harness.errors import ChoreographyError, Problem

ORDER = Service(name="order", processes={"main": "order --port {port}"})
PAYMENT = Service(name="payment", processes={"main": "payment {broker.url}"})
SAGA = Saga(name="order", starts="placed", completes=("shipped",), fails=("cancelled",))
GOOD = Choreography(
    name="good",
    folder=Path("/nowhere"),
    services={"order": ORDER, "payment": PAYMENT},
    stores={
        "files": Store(name="files", kind="sqlite", target="f.db"),
        "cache": Store(name="cache", kind="tcp", target="h:1"),
    },
    externals={"gateway": External(name="gateway")},
    sagas={"order": SAGA},
)


def problem(choreography: Choreography, place: str) -> Problem:
    found = {problem.place: problem for problem in check(choreography)}
    assert place in found, f"no problem at {place}, but at {sorted(found)}"
    return found[place]


def with_service(**changes: object) -> Choreography:
    return replace(GOOD, services={**GOOD.services, "order": replace(ORDER, **changes)})  # type: ignore[arg-type]


def with_driver(**parts: object) -> Choreography:
    return replace(GOOD, drivers={"d": Driver(name="d", **parts)})  # type: ignore[arg-type]


def with_effect(**parts: object) -> Choreography:
    return replace(GOOD, effects={"e": Effect(name="e", **parts)})  # type: ignore[arg-type]


def test_a_good_one_has_no_problems() -> None:
    assert check(GOOD) == ()
    assert must_hold(GOOD) is GOOD


def test_a_bad_one_is_refused_with_all_its_problems() -> None:
    with pytest.raises(ChoreographyError) as caught:
        must_hold(with_service(after=("paiment",), env={"A": "{brocker.url}"}))
    assert len(caught.value.problems) == 2


class TestNames:
    def test_a_name_is_plain(self) -> None:
        bad = replace(GOOD, stores={"a.b": Store(name="a.b", kind="sqlite", target="x")})
        assert "letters" in problem(bad, "stores.a.b").expected

    def test_a_part_stands_under_its_own_name(self) -> None:
        bad = replace(GOOD, sagas={"other": SAGA})
        assert "'other'" in problem(bad, "sagas.other.name").expected


class TestServices:
    def test_a_service_runs_something(self) -> None:
        assert "command" in problem(with_service(processes={}), "services.order").expected

    def test_a_near_match_is_shown(self) -> None:
        assert problem(with_service(after=("payement",)), "services.order.after").hint == "did you mean payment?"

    def test_services_that_wait_for_each_other_are_all_named(self) -> None:
        services = {"order": replace(ORDER, after=("payment",)), "payment": replace(PAYMENT, after=("order",))}
        bad = replace(GOOD, services=services)
        assert "order, payment" in problem(bad, "services.order.after").hint
        assert problem(bad, "services.payment.after")

    @pytest.mark.parametrize("name", ["order", "payment"])
    def test_a_chain_of_waiting_is_no_circle(self, name: str) -> None:
        services = {"order": replace(ORDER, after=("payment",)), "payment": PAYMENT}
        assert f"services.{name}.after" not in {found.place for found in check(replace(GOOD, services=services))}

    @pytest.mark.parametrize(
        ("text", "hint"),
        [
            ("{broker.ur}", "did you mean {broker.url}?"),
            ("{store.files.url}", "did you mean {stores.files.url}?"),
            ("{stores.file.url}", "did you mean {stores.files.url}?"),
            ("{externals.gatway.url}", "did you mean {externals.gateway.url}?"),
            ("{service.order.address}", "did you mean {services.order.address}?"),
            ("{prot}", "did you mean {port}?"),
        ],
    )
    def test_a_name_that_means_nothing_is_told_with_the_nearest(self, text: str, hint: str) -> None:
        assert problem(with_service(env={"A": text}), "services.order.env.A").hint == hint

    @pytest.mark.parametrize(
        "text", ["{correlation}", "{faker.name}", "{stores.files}", "{stores.cache.path}", "{", "{}"]
    )
    def test_names_of_other_places_mean_nothing(self, text: str) -> None:
        assert problem(with_service(env={"A": text}), "services.order.env.A").expected

    def test_only_a_service_that_talks_to_the_broker_has_its_url(self) -> None:
        bad = with_service(broker=False, ready=Ready(), env={"A": "{broker.url}"})
        assert problem(bad, "services.order.env.A")

    def test_an_address_needs_a_service_that_listens(self) -> None:
        found = problem(with_service(env={"A": "{services.payment.address}"}), "services.order.env.A")
        assert "{port} in the command or environment of services.payment" in found.expected

    def test_what_never_becomes_ready_is_told(self) -> None:
        mute = {"main": "order"}
        assert problem(with_service(processes=mute, ready=Ready(tcp=True)), "services.order.ready.tcp")
        assert problem(with_service(processes=mute, ready=Ready(http="/h")), "services.order.ready.http")
        assert problem(with_service(ready=Ready(http="health")), "services.order.ready.http")
        assert problem(with_service(broker=False, ready=Ready(consumers=1)), "services.order.ready.consumers")
        assert problem(with_service(ready=Ready(log="(")), "services.order.ready.log")

    def test_a_folder_must_be_there(self, tmp_path: Path) -> None:
        bad = replace(with_service(cwd="missing"), folder=tmp_path)
        assert problem(bad, "services.order.cwd").value == "'missing'"

    def test_a_command_closes_its_quotes(self) -> None:
        assert "quot" in problem(with_service(processes={"main": "sh -c 'x"}), "services.order.command").expected


class TestStores:
    @pytest.mark.parametrize(
        ("store", "place"),
        [
            (Store(name="s", kind="sqlite", target=""), "stores.s"),
            (Store(name="s", kind="postgres", target="mysql://x"), "stores.s.postgres"),
            (Store(name="s", kind="tcp", target="redis"), "stores.s.tcp"),
            (Store(name="s", kind="tcp", target="h:1", schema="create"), "stores.s.schema"),
            (Store(name="s", kind="sqlite", target="x", schema="missing.sql"), "stores.s.schema"),
            (Store(name="s", kind="postgres", target="{environ.X}"), "stores.s.postgres"),
        ],
    )
    def test_what_cannot_be_made_is_told(self, store: Store, place: str) -> None:
        assert problem(replace(GOOD, stores={"s": store}), place)

    @pytest.mark.parametrize("target", ["local", "postgresql://u@h/d", "postgres://h", "{env.DATABASE_URL}"])
    def test_what_can_be_made_is_not(self, target: str) -> None:
        assert check(replace(GOOD, stores={"s": Store(name="s", kind="postgres", target=target)})) == ()

    def test_an_outbox_is_in_a_store(self) -> None:
        bad = replace(GOOD, quiet=QuietRules(outboxes={"file": "select 1"}))
        assert problem(bad, "quiet.outboxes.file").hint == "did you mean files?"


class TestSagas:
    @pytest.mark.parametrize(
        ("saga", "place"),
        [
            (replace(SAGA, starts=""), "sagas.order.starts"),
            (replace(SAGA, completes=()), "sagas.order.completes"),
            (replace(SAGA, fails=("shipped",)), "sagas.order.fails"),
            (replace(SAGA, steps=(Step("a"), Step("a"))), "sagas.order.steps[1].does"),
            (replace(SAGA, steps=(Step("a", "a"),)), "sagas.order.steps[0].undoes"),
        ],
    )
    def test_a_contradiction_is_told(self, saga: Saga, place: str) -> None:
        assert problem(replace(GOOD, sagas={"order": saga}), place)

    def test_an_event_of_a_saga_is_not_ignored(self) -> None:
        found = problem(replace(GOOD, events=EventRules(ignore=("beat", "ship*"))), "events.ignore")
        assert (found.value, found.hint) == ("'ship*'", "order needs shipped")


class TestDrivers:
    @pytest.mark.parametrize(
        ("parts", "place"),
        [
            ({}, "drivers.d"),
            ({"http": "POST http://h/{correlation}", "publish": "x"}, "drivers.d.publish"),
            ({"http": "http://h/{correlation}"}, "drivers.d.http"),
            ({"http": "POST h/{correlation}"}, "drivers.d.http"),
            ({"http": "POST http://h/{correlation}", "exchange": "e"}, "drivers.d.exchange"),
            ({"publish": "{correlation}", "accepts": (200,)}, "drivers.d.accepts"),
            ({"publish": "{correlation}", "saga": "ordr"}, "drivers.d.saga"),
            ({"publish": "x", "correlation": "response:json:id"}, "drivers.d.correlation"),
            ({"publish": "x", "correlation": "output:json:id"}, "drivers.d.correlation"),
            ({"http": "POST http://h", "correlation": "response:body"}, "drivers.d.correlation"),
            ({"http": "POST http://h", "correlation": "respons:json:id"}, "drivers.d.correlation"),
            ({"http": "POST http://h", "json": {"a": 1}}, "drivers.d.correlation"),
            ({"http": "POST http://h/{correlation}", "correlation": "response:json:id"}, "drivers.d.http"),
            ({"http": "POST http://h/{correlation}", "json": ["{faker.nam}"]}, "drivers.d.json[0]"),
            ({"publish": "{data.id}", "json": {"key": "{correlation}"}}, "drivers.d.publish"),
            ({"publish": "{correlation}", "headers": {"a": "{data}{x}"}}, "drivers.d.headers.a"),
        ],
    )
    def test_what_cannot_work_is_told(self, parts: dict[str, object], place: str) -> None:
        assert problem(with_driver(**parts), place)

    @pytest.mark.parametrize(
        "parts",
        [
            {"http": "POST http://{services.order.address}/x", "correlation": "response:header:location"},
            {"http": "PUT http://h/{correlation}", "json": {"n": "{faker.random_int(min=1, max=9)}"}},
            {"http": "POST http://h/", "json": {"id": "{faker.uuid4}"}, "correlation": "{data.id}"},
            {"publish": "placed", "properties": {"correlation_id": "{correlation}"}},
            {"command": "{python} x.py", "correlation": "output:json:id"},
        ],
    )
    def test_what_can_work_is_not(self, parts: dict[str, object]) -> None:
        assert check(with_driver(**parts)) == ()

    def test_with_several_sagas_a_driver_says_which_it_starts(self) -> None:
        sagas = {"order": SAGA, "other": replace(SAGA, name="other")}
        bad = replace(with_driver(publish="{correlation}"), sagas=sagas)
        assert problem(bad, "drivers.d.saga").expected == "the saga that it starts: order, other"


class TestExternalsAndEffects:
    @pytest.mark.parametrize(
        ("answer", "place"),
        [
            (Answer(when="charges"), "when"),
            (Answer(status=99), "status"),
            (Answer(once_by="id"), "once_by"),
            (Answer(json={"id": "{faker.uuid5}"}), "json.id"),
            (Answer(headers={"location": "{requst.path}"}), "headers.location"),
        ],
    )
    def test_an_answer_that_cannot_be_given_is_told(self, answer: Answer, place: str) -> None:
        bad = replace(GOOD, externals={"gateway": External(name="gateway", answers=(answer,))})
        assert problem(bad, f"externals.gateway.answers[0].{place}")

    @pytest.mark.parametrize(
        ("parts", "place"),
        [
            ({}, "effects.e"),
            ({"external": "gateway", "key": "json:id", "store": "files"}, "effects.e.store"),
            ({"external": "gatewy", "key": "json:id"}, "effects.e.external"),
            ({"external": "gateway"}, "effects.e.key"),
            ({"external": "gateway", "key": "id"}, "effects.e.key"),
            ({"external": "gateway", "key": "path:x"}, "effects.e.key"),
            ({"external": "gateway", "key": "header:X-Api-Key"}, "effects.e.key"),
            ({"external": "gateway", "key": "json:id", "sql": "select"}, "effects.e.sql"),
            ({"external": "gateway", "key": "json:id", "when": "x"}, "effects.e.when"),
            ({"store": "fils", "sql": "select"}, "effects.e.store"),
            ({"store": "files"}, "effects.e.sql"),
            ({"store": "files", "sql": "select {corelation}"}, "effects.e.sql"),
            ({"store": "files", "sql": "select", "key": "json:id"}, "effects.e.key"),
            ({"store": "cache", "sql": "select"}, "effects.e.store"),
            ({"store": "files", "sql": "select", "times": {}}, "effects.e.times"),
        ],
    )
    def test_an_effect_that_cannot_be_counted_is_told(self, parts: dict[str, object], place: str) -> None:
        assert problem(with_effect(**parts), place)


class TestLooks:
    @pytest.mark.parametrize(
        ("probe", "place"),
        [
            (Probe(name="p"), "probes.p"),
            (Probe(name="p", sql="select"), "probes.p.store"),
            (Probe(name="p", store="files"), "probes.p.sql"),
            (Probe(name="p", store="files", sql="select", http="GET http://h"), "probes.p.http"),
            (Probe(name="p", http="POST http://h"), "probes.p.http"),
            (Probe(name="p", command="x {faker.name}"), "probes.p.command"),
        ],
    )
    def test_a_probe_that_cannot_look_is_told(self, probe: Probe, place: str) -> None:
        assert problem(replace(GOOD, probes={"p": probe}), place)

    @pytest.mark.parametrize(
        ("view", "place"),
        [
            (View(name="v", http="http://h", allows=(("a", "b"),)), "views.v.http"),
            (View(name="v", http="GET http://h/{corelation}", allows=(("a", "b"),)), "views.v.http"),
            (View(name="v", http="GET http://h", value="body", allows=(("a", "b"),)), "views.v.value"),
            (View(name="v", http="GET http://h"), "views.v.allows"),
        ],
    )
    def test_a_view_that_cannot_see_is_told(self, view: View, place: str) -> None:
        assert problem(replace(GOOD, views={"v": view}), place)
