"""A choreography's file: what it is read into, and that everything that is wrong with it is told at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from misstep.harness.choreography.file import load, read
from misstep.harness.choreography.lines import line_of, lines_of
from misstep.harness.choreography.words import Choreography, Ready, Selector, Step
from misstep.harness.errors import ChoreographyError, Problem

EXAMPLES = Path(__file__).parents[2] / "examples"

WHOLE = """
[choreography]
name = "order saga"
broker = "rabbitmq"
broker_url = "amqp://{env.USER}:{env.PASSWORD}@staging/"

[services.payment]
command = "uvicorn payment.main:app --port {port}"
env = { RABBITMQ_URL = "{broker.url}", DATABASE_URL = "{stores.payments.url}", DEBUG = true, WORKERS = 2 }
ready = { consumers = 1 }

[services.order]
processes = { web = "uvicorn order:app --port {port}", relay = "{python} relay.py" }
env = { PAYMENT = "http://{services.payment.address}", RULES = '{{"json": 1}}' }
ready = { http = "/health", within = 3 }
after = ["payment"]

[services.mailer]
command = "{python} mailer.py"
broker = false

[stores.payments]
postgres = "local"
schema = "create table charges (id text)"

[stores.files]
sqlite = "files.db"

[stores.cache]
tcp = "127.0.0.1:6379"

[events]
type = "header:event-type"
correlation = "body:order.id"
id = ""
ignore = ["heartbeat.*"]

[drivers.place_order]
http = "POST http://{services.order.address}/orders"
json = { sku = "A1", quantity = 1, at = 2024-01-02T03:04:05Z, customer = { name = "{faker.name}" } }
correlation = "response:json:order_id"
accepts = [201, 202]

[drivers.event]
publish = "order.placed"
exchange = "events"
json = { order_id = "{correlation}" }
properties = { correlation_id = "{correlation}" }

[externals.gateway]
answers = [
    { when = "POST /charges", matching = { amount = 0 }, status = 402 },
    { when = "POST /charges", status = 201, json = { amount = "{request.json.amount}" }, delay = 0.1 },
]

[externals.mail]

[effects.charge]
external = "gateway"
key = "json:order_id"

[effects.stock]
store = "files"
sql = "select sku, count(*) from stock group by 1"
times = { completed = 1, compensated = 0 }

[sagas.order]
starts = "order.placed"
completes = "order.shipped"
fails = ["order.cancelled"]
steps = [ { does = "payment.taken",  undoes = "payment.refunded" },
          { does = "stock.reserved" } ]

[probes.charges]
store = "payments"
sql = "select order_id from charges where order_id = {correlation}"
ignore = ["id"]

[views.order_status]
http = "GET http://{services.order.address}/orders/{correlation}"
value = "json:status"
allows = ["pending -> confirmed", "pending->cancelled"]

[quiet]
silence = 0.5
outboxes = { payments = "select count(*) from outbox" }

[progress]
attempts = 3
"""


def parsed(text: str, folder: Path = Path("/nowhere")) -> Choreography:
    return read(text, folder=folder)


def problems_of(text: str, folder: Path = Path("/nowhere")) -> dict[str, Problem]:
    with pytest.raises(ChoreographyError) as caught:
        read(text, folder=folder)
    return {problem.place.partition(" (line")[0]: problem for problem in caught.value.problems}


class TestReading:
    def test_every_section_is_read_into_its_words(self) -> None:
        whole = parsed(WHOLE)
        assert whole.name == "order saga"
        assert whole.services["payment"].processes == {"main": "uvicorn payment.main:app --port {port}"}
        assert whole.services["payment"].env["DEBUG"] == "true"
        assert whole.services["payment"].env["WORKERS"] == "2"
        assert set(whole.services["order"].processes) == {"web", "relay"}
        assert whole.services["order"].ready == Ready(http="/health", within=3.0)
        assert whole.services["order"].after == ("payment",)
        assert whole.services["mailer"].ready == Ready(consumers=0)
        assert (whole.stores["payments"].kind, whole.stores["payments"].target) == ("postgres", "local")
        assert (whole.stores["files"].kind, whole.stores["cache"].kind) == ("sqlite", "tcp")
        assert whole.events.type == Selector("header", "event-type")
        assert whole.events.id is None
        assert whole.drivers["place_order"].accepts == (201, 202)
        assert whole.externals["gateway"].answers[1].delay == 0.1
        assert whole.externals["gateway"].answers[0].matching == {"amount": 0}
        assert len(whole.externals["mail"].answers) == 1
        assert whole.effects["charge"].times == {"completed": 1, "compensated": 1}
        assert whole.effects["stock"].times == {"completed": 1, "compensated": 0}
        assert whole.sagas["order"].completes == ("order.shipped",)
        assert whole.sagas["order"].steps[1] == Step("stock.reserved")
        assert whole.probes["charges"].ignore == ("id",)
        assert whole.views["order_status"].allows == (("pending", "confirmed"), ("pending", "cancelled"))
        assert whole.quiet.outboxes == {"payments": "select count(*) from outbox"}
        assert whole.progress.attempts == 3

    def test_dates_in_data_become_texts_that_json_can_carry(self) -> None:
        data = parsed(WHOLE).drivers["place_order"].json
        assert isinstance(data, dict)
        assert data["at"] == "2024-01-02T03:04:05+00:00"

    def test_a_folder_means_the_file_in_it(self, tmp_path: Path) -> None:
        (tmp_path / "choreography.toml").write_text('[sagas.s]\nstarts = "a"\ncompletes = "b"\n')
        for path in (tmp_path, str(tmp_path), tmp_path / "choreography.toml"):
            loaded = load(path)
            assert loaded.folder == tmp_path
            assert loaded.name == tmp_path.name

    @pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.toml")), ids=lambda path: str(path.relative_to(EXAMPLES)))
    def test_the_examples_can_be_used(self, path: Path) -> None:
        assert load(path).services

    def test_no_password_of_the_broker_is_shown(self) -> None:
        whole = parsed('[choreography]\nbroker_url = "amqp://user:geheim@host/"\nmanagement_url = "http://u:geheim@h"')
        assert "geheim" not in repr(whole)


class TestProblems:
    def test_all_are_told_at_once_with_place_line_value_and_near_match(self) -> None:
        text = "\n".join(
            [
                "[services.payment]",
                'comand = "uvicorn app"',
                'after = ["oder"]',
                'env = { A = "{broker.ulr}" }',
                "[services.order]",
                'command = "x"',
                "[effects.charge]",
                'external = "gatway"',
                "times = -1",
                "[externals.gateway]",
                "[service.typo]",
            ]
        )
        with pytest.raises(ChoreographyError) as caught:
            read(text, folder=Path("/nowhere"), source="choreography.toml")
        told = str(caught.value)
        assert told.startswith("choreography.toml has 7 problems:")
        assert "services.payment.comand (line 2) is 'uvicorn app'" in told
        assert "(did you mean command?)" in told
        assert "services.payment.after (line 3) is 'oder': expected a service: payment, order" in told
        assert "(did you mean order?)" in told
        assert "(did you mean {broker.url}?)" in told
        assert "effects.charge.external (line 8) is 'gatway'" in told
        assert "effects.charge.key (line 7): expected" in told
        assert "effects.charge.times (line 9) is -1: expected a whole number of at least 0" in told
        assert "service (line 11)" in told
        assert "(did you mean services?)" in told

    def test_they_stand_in_the_order_of_the_file(self) -> None:
        text = '[views.v]\nhtp = 1\n[stores.s]\nsqlit = "x"\n[services.a]\ncomand = "x"\n'
        with pytest.raises(ChoreographyError) as caught:
            read(text, folder=Path("/nowhere"))
        lines = [int(problem.place.partition("(line ")[2].rstrip(")")) for problem in caught.value.problems]
        assert lines == sorted(lines)
        assert len(lines) >= 3

    def test_a_misspelt_key_is_not_reported_as_missing_too(self) -> None:
        assert set(problems_of('[sagas.s]\nstarts = "a"\ncompletess = "b"')) == {"sagas.s.completess"}
        assert set(problems_of('[services.s]\ncomand = "a"')) == {"services.s.comand"}
        assert set(problems_of('[stores.s]\npostgress = "local"')) == {"stores.s.postgress"}

    @pytest.mark.parametrize(
        ("text", "place", "expected"),
        [
            ('[choreography]\nbroker = "kafak"', "choreography.broker", "rabbitmq"),
            ("[choreography]\nname = 7", "choreography.name", "a text"),
            ("services = 7", "services", "a table"),
            ("[services]\npayment = 7", "services.payment", "a table"),
            (
                '[services.a]\ncommand = "x"\nready = { consumers = true }',
                "services.a.ready.consumers",
                "a whole number",
            ),
            ('[services.a]\ncommand = "x"\nready = { within = 0 }', "services.a.ready.within", "more than 0"),
            ('[services.a]\ncommand = "x"\nready = { within = inf }', "services.a.ready.within", "more than 0"),
            ('[services.a]\ncommand = "x"\nstop_within = "5"', "services.a.stop_within", "a number"),
            ('[services.a]\ncommand = "x"\nprocesses = { web = "y" }', "services.a.command", "not both"),
            ('[services.a]\ncommand = "x"\nenv = { A = [1] }', "services.a.env.A", "a text"),
            ('[stores.a]\nsqlite = "x"\npostgres = "local"', "stores.a.postgres", "sqlite is here already"),
            ('[events]\ntype = "routing-key"', "events.type", "did you mean routing_key?"),
            ('[events]\ntype = "property:tpe"', "events.type", "did you mean type?"),
            ('[events]\ntype = "header:"', "events.type", "header:NAME"),
            ('[events]\ntype = "body:/(/"', "events.type", "a regular expression"),
            ('[externals.a]\nanswers = ["x"]', "externals.a.answers[0]", "a table"),
            ('[externals.a]\nanswers = [{ when = "charges" }]', "externals.a.answers[0].when", "METHOD /path"),
            ("[externals.a]\nanswers = [{ status = 99 }]", "externals.a.answers[0].status", "at least 200"),
            ("[externals.a]\nanswers = [{ matching = 1 }]", "externals.a.answers[0].matching", "a table"),
            ('[drivers.a]\ncommand = "{correlation}"\njson = { a = nan }', "drivers.a.json.a", "JSON can carry"),
            ('[views.a]\nhttp = "GET http://h"\nallows = ["a > b"]', "views.a.allows", "pending -> confirmed"),
            ('[sagas.a]\nstarts = " "\ncompletes = "b"', "sagas.a.starts", "not empty"),
            ("[progress]\ndepth = 0", "progress.depth", "at least 1"),
        ],
    )
    def test_a_value_of_the_wrong_kind_is_named_with_what_was_expected(
        self, text: str, place: str, expected: str
    ) -> None:
        found = problems_of(text)
        assert expected in f"{found[place].expected} {found[place].hint}"
        assert found[place].value

    def test_no_password_is_shown_in_a_problem(self) -> None:
        found = problems_of('[stores.a]\npostgres = "mysql://user:geheim@host/db"')
        assert "geheim" not in str(found["stores.a.postgres"])
        assert "mysql://user:***@host" in str(found["stores.a.postgres"])


class TestHostileFiles:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("[services", "line 1"),
            ("a = 1\nb = = 2", "line 2"),
            ("a = 1\na = 2", "TOML"),
            ("a = " + "[" * 100_000, "nested"),
            ("a = " + "9" * 5000, "TOML"),
        ],
        ids=["open header", "bad value", "twice", "deep list", "long number"],
    )
    def test_what_is_no_toml_is_one_clear_problem(self, text: str, said: str) -> None:
        with pytest.raises(ChoreographyError) as caught:
            parsed(text)
        assert len(caught.value.problems) == 1
        assert said in str(caught.value)

    @pytest.mark.parametrize(
        "text",
        [
            "[drivers.d.json." + ".".join("a" * 5000) + "]",
            ".".join(["a"] * 3000) + " = 1",
            "[services.s]\nenv = " + "{ a = " * 60 + "1" + "}" * 60,
            "[drivers.d]\njson = " + "[" * 80 + "]" * 80,
            '[services."a.b c"]\ncommand = "x"',
            '["\\u0000"]',
            f'[services.s]\n"{"k" * 100_000}" = "{"v" * 100_000}"',
            '[services.s]\ncommand = "' + "{" * 5001 + '"',
        ],
        ids=["deep header", "deep key", "deep table", "deep data", "odd name", "nul", "long", "braces"],
    )
    def test_odd_files_are_told_of_and_never_crash(self, text: str) -> None:
        with pytest.raises(ChoreographyError) as caught:
            parsed(text)
        assert caught.value.problems
        assert len(str(caught.value.problems[0])) < 2000 or "a.a.a" in str(caught.value.problems[0])

    @pytest.mark.parametrize("content", [b"\xff\xfe[\x00", b"name = \x80", b"\x00"])
    def test_bytes_that_are_no_text(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "choreography.toml").write_bytes(content)
        with pytest.raises(ChoreographyError, match="TOML"):
            load(tmp_path)

    def test_a_byte_order_mark_does_no_harm(self, tmp_path: Path) -> None:
        (tmp_path / "choreography.toml").write_bytes(b'\xef\xbb\xbf[choreography]\nname = "x"')
        assert load(tmp_path).name == "x"

    def test_a_file_that_is_not_there_names_the_command_that_writes_one(self, tmp_path: Path) -> None:
        with pytest.raises(ChoreographyError, match="misstep init"):
            load(tmp_path)

    def test_an_endless_file_is_not_read_to_its_end(self) -> None:
        with pytest.raises(ChoreographyError, match="larger than 4 MiB"):
            load("/dev/zero")

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "services",
                            "stores",
                            "events",
                            "drivers",
                            "sagas",
                            "effects",
                            "views",
                            "probes",
                            "externals",
                            "command",
                            "processes",
                            "env",
                            "ready",
                            "http",
                            "json",
                            "times",
                            "steps",
                            "answers",
                            "a",
                        ]
                    ),
                    inner,
                    max_size=3,
                )
            ),
            max_leaves=20,
        )
    )
    def test_any_data_is_read_or_told_of(self, data: object) -> None:
        text = to_toml(data)
        problems: tuple[Problem, ...] = ()
        try:
            read(text, folder=Path("/nowhere"))
        except ChoreographyError as error:
            problems = error.problems
        assert all(problem.place and problem.expected for problem in problems)


def to_toml(data: object) -> str:
    if not isinstance(data, dict):
        return f"a = {inline(data)}"
    return "\n".join(f"{key} = {inline(value)}" for key, value in data.items())


def inline(data: object) -> str:
    if isinstance(data, dict):
        return "{" + ", ".join(f"{key} = {inline(value)}" for key, value in data.items()) + "}"
    if isinstance(data, list):
        return "[" + ", ".join(inline(value) for value in data) + "]"
    if isinstance(data, bool):
        return str(data).lower()
    if isinstance(data, int):
        return str(data)
    return '"' + "".join(f"\\U{ord(mark):08x}" if not 0xD800 <= ord(mark) < 0xE000 else "?" for mark in str(data)) + '"'


class TestLines:
    def test_headers_keys_and_entries_of_arrays_are_found(self) -> None:
        text = 'a = 1\n[s."x y"]\n# c = 1\nb.c = """\nd = 1\n"""\n[[e.answers]]\nwhen = 1\n[[e.answers]]\nwhen = 2\n'
        lines = lines_of(text)
        assert lines["a"] == 1
        assert lines["s.x y"] == 2
        assert lines["s.x y.b.c"] == 4
        assert "s.x y.d" not in lines
        assert lines["e.answers[1].when"] == 10

    def test_the_nearest_line_around_is_taken(self) -> None:
        lines = {"a": 1, "a.b": 3}
        assert line_of("a.b.c[0].d", lines) == 3
        assert line_of("a.x", lines) == 1
        assert line_of("z", lines) == 0

    @given(st.text())
    def test_any_text_has_lines(self, text: str) -> None:
        assert all(0 < line <= len(text.splitlines()) for line in lines_of(text).values())
