"""Templates: what they are filled with, and that the data of others stays data."""

from __future__ import annotations

from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from misstep.harness.choreography.fakes import Fakes
from misstep.harness.choreography.templates import (
    expand,
    expand_command,
    expand_json,
    nearest,
    parse,
    placeholders,
    texts,
)
from misstep.harness.errors import ChoreographyError

SCOPE: dict[str, object] = {
    "broker": {"url": "amqp://u:p@127.0.0.1:5672/run", "port": 5672},
    "stores": {"payments": {"url": "postgresql://h/d"}},
    "services": {"order": {"address": "127.0.0.1:80"}, "mute": {}},
    "env": MappingProxyType({"HOME": "/home/u", "A.B": "dotted"}),
    "port": 8080,
    "data": {"id": "7", "lines": [{"sku": "A"}], "none": None, "yes": True, "half": 0.5},
}


class TestExpand:
    @pytest.mark.parametrize(
        ("text", "result"),
        [
            ("", ""),
            ("no names", "no names"),
            ("{broker.url}", "amqp://u:p@127.0.0.1:5672/run"),
            ("app --port {port} --broker {broker.port}", "app --port 8080 --broker 5672"),
            ("{ port }", "8080"),
            ("{env.HOME}/x", "/home/u/x"),
            ("{env.A.B}", "dotted"),
            ("{data.lines[0].sku}{data.lines.0.sku}", "AA"),
            ("{data.none} {data.yes} {data.half}", "null true 0.5"),
            ("{data.lines}", '[{"sku":"A"}]'),
            ('{{"port": {port}}}', '{"port": 8080}'),
            ("{{{port}}}", "{8080}"),
            ("{{port}}", "{port}"),
            ("}}{{", "}{"),
        ],
    )
    def test_names_are_filled_in_and_doubled_braces_are_braces(self, text: str, result: str) -> None:
        assert expand(text, SCOPE) == result

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("{broker.ulr}", "did you mean {broker.url}?"),
            ("{stores.paymnts.url}", "did you mean {stores.payments.url}?"),
            ("{Port}", "did you mean {port}?"),
            ("{nothing.like.it}", "{broker.url}"),
            ("{broker}", "{broker.url}"),
            ("{stores.payments}", "{stores.payments.url}"),
            ("{services.mute.address}", "{port} in the command or environment of services.mute"),
            ("{env.MISSING}", "export MISSING="),
            ("{env}", "{env.NAME}"),
            ("{data.lines.1.sku}", "did you mean"),
            ("{", "{{"),
            ("a } b", "}}"),
            ("{}", "a name in braces"),
            ("{ }", "a name in braces"),
            ("{a{b}", "{{"),
        ],
    )
    def test_what_means_nothing_is_told_with_the_next_step(self, text: str, said: str) -> None:
        with pytest.raises(ChoreographyError) as caught:
            expand(text, SCOPE)
        assert said in str(caught.value)
        assert text[:100] in str(caught.value)

    @pytest.mark.parametrize(
        "text",
        ["{data.__class__}", "{port.real}", "{data.id.upper}", "{port!r}", "{port:>9}", "{data[id].__init__}", "{0}"],
    )
    def test_no_attribute_is_touched_and_no_format_evaluated(self, text: str) -> None:
        with pytest.raises(ChoreographyError):
            expand(text, SCOPE)

    @given(st.text())
    def test_what_a_name_brings_is_never_expanded_again(self, value: str) -> None:
        scope = {"data": {"x": value}, "port": "secret"}
        clean = value.encode(errors="replace").decode()
        assert expand("<{data.x}>", scope) == f"<{clean}>"
        assert expand_json(["{data.x}"], scope) == [value]

    @given(st.text())
    def test_any_text_survives_when_its_braces_are_doubled(self, text: str) -> None:
        assert expand(text.replace("{", "{{").replace("}", "}}"), {}) == text

    @given(st.text(alphabet="{}ab.x \n"))
    def test_any_text_is_filled_in_or_told_of(self, text: str) -> None:
        scope = {"a": {"b": "1"}, "x": "2"}
        try:
            expand(text, scope)
        except ChoreographyError as error:
            told = str(error)
        else:
            told = "problem"
        assert "problem" in told

    @given(st.lists(st.text(alphabet="ab{}", max_size=4) | st.just("{x}")))
    def test_parsing_loses_nothing(self, pieces: list[str]) -> None:
        text = "".join(pieces)
        try:
            parts = parse(text)
        except ValueError:
            return
        rebuilt = "".join(
            p.replace("{", "{{").replace("}", "}}") if isinstance(p, str) else f"{{{p.name}}}" for p in parts
        )
        assert parse(rebuilt) == parts


class TestPlaceholders:
    def test_names_are_listed_in_order(self) -> None:
        assert placeholders("{b.c} {{no}} {a}{b.c}") == ("b.c", "a", "b.c")

    def test_a_lone_brace_is_refused(self) -> None:
        with pytest.raises(ValueError, match="a name in braces"):
            placeholders("{a")


class TestJson:
    def test_a_text_that_is_one_name_keeps_the_value_as_it_is(self) -> None:
        filled = expand_json({"n": "{data.half}", "s": "n={data.half}", "l": ["{data.lines}"], "k": 1}, SCOPE)
        assert filled == {"n": 0.5, "s": "n=0.5", "l": [[{"sku": "A"}]], "k": 1}

    def test_keys_are_no_templates(self) -> None:
        assert expand_json({"{port}": 1}, SCOPE) == {"{port}": 1}

    def test_every_text_is_found(self) -> None:
        assert list(texts({"a": ["b", 1, {"c": "d"}], "e": None})) == ["b", "d"]


class TestCommands:
    def test_a_value_with_blanks_stays_one_word(self) -> None:
        assert expand_command("run '{a} x' {a}", {"a": "1 2; rm"}) == ("run", "1 2; rm x", "1 2; rm")

    @pytest.mark.parametrize("command", ["", "  ", "run 'x", "{nobody}"])
    def test_what_is_no_command_is_told(self, command: str) -> None:
        with pytest.raises(ChoreographyError):
            expand_command(command, {})


class TestNearest:
    def test_the_nearest_name_is_found_whatever_its_case(self) -> None:
        assert nearest("Comand", ["environment", "command"]) == "command"

    @pytest.mark.parametrize("name", ["zzz", "x" * 10_000, ""])
    def test_there_may_be_none(self, name: str) -> None:
        assert nearest(name, ["command"]) == ""


class TestFakes:
    def test_the_same_seed_draws_the_same_values(self) -> None:
        def draw(fakes: Fakes) -> list[object]:
            return [fakes["uuid4"], fakes["name"], fakes["random_int(min=1, max=9)"], fakes["uuid4"]]

        first, second = Fakes("7/driver/1"), Fakes("7/driver/1")
        assert draw(first) == draw(second)
        assert draw(Fakes("7/driver/2")) != draw(Fakes("7/driver/1"))

    def test_streams_do_not_disturb_each_other(self) -> None:
        alone, disturbed, other = Fakes(1), Fakes(1), Fakes(2)
        expected = [alone["uuid4"], alone["uuid4"]]
        first = disturbed["uuid4"]
        assert other["uuid4"] != first
        assert [first, disturbed["uuid4"]] == expected

    def test_renewed_it_starts_over(self) -> None:
        fakes = Fakes(1)
        first = fakes["uuid4"]
        fakes.renew(1)
        assert fakes["uuid4"] == first
        fakes.renew(2)
        assert fakes["uuid4"] != first

    def test_values_are_json(self) -> None:
        filled = expand_json(["{faker.date_object}", "{faker.pydecimal}", "{faker.boolean}"], {"faker": Fakes(1)})
        assert isinstance(filled, list)
        assert [type(value) in (str, int, bool) for value in filled] == [True] * 3
        assert type(filled[2]) is bool

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("uuuid4", "did you mean {faker.uuid4}?"),
            ("random_int(minimum=1)", "TypeError"),
            ("random_int(__import__('os'))", "a method of Faker"),
            ("seed_instance", "a method of Faker"),
            ("add_provider", "a method of Faker"),
            ("__class__", "a method of Faker"),
            ("name.__globals__", "a method of Faker"),
            ("random_int(min=open('x'))", "a method of Faker"),
        ],
    )
    def test_only_methods_that_draw_are_reached(self, name: str, said: str) -> None:
        with pytest.raises(ChoreographyError) as caught:
            expand(f"{{faker.{name}}}", {"faker": Fakes(1)})
        assert said in str(caught.value)
