"""Generated data: what ``{faker.name}`` and ``{faker.random_int(min=1, max=9)}`` draw, from a seed."""

from __future__ import annotations

import ast
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from typing import Any

from misstep.harness.choreography.plain import plain
from misstep.harness.choreography.words import Json

DRAWING = threading.Lock()  # a stage has a thread of its own, and all share one generator


class Fakes(Mapping[str, Json]):
    """Every value that Faker can draw, by the name of the method that draws it.

    Each look-up draws anew, from this object's own stream: the same seed and the same look-ups give the same values.
    Faker itself is loaded at the first look-up.

    Args:
        seed: The seed; a text such as ``"7/driver/1"`` names a stream of its own.
        locale: The language of names and addresses.
    """

    def __init__(self, seed: int | str = 0, locale: str = "en_US") -> None:
        self.seed = seed
        self.locale = locale

    def renew(self, seed: int | str) -> None:
        """Draw from another stream from now on."""
        self.seed = seed
        self.__dict__.pop("_stream", None)

    @cached_property
    def _stream(self) -> random.Random:
        return random.Random(str(self.seed))

    @property
    def _methods(self) -> Mapping[str, Callable[..., Any]]:
        return _generator(self.locale)[1]

    def __getitem__(self, expression: str) -> Json:
        name, arguments = parse_call(expression)
        generator, methods = _generator(self.locale)
        if name not in methods:
            raise KeyError(expression)
        with DRAWING:
            generator.random = self._stream
            return plain(methods[name](**arguments))

    def __contains__(self, expression: object) -> bool:
        try:
            return isinstance(expression, str) and parse_call(expression)[0] in self._methods
        except ValueError:
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(self._methods)

    def __len__(self) -> int:
        return len(self._methods)


@cache
def _generator(locale: str) -> tuple[Any, Mapping[str, Callable[..., Any]]]:
    """Return Faker's generator with its methods; all streams share it, since making one takes a tenth of a second."""
    from faker import Factory  # itself slow to load: only who draws pays

    generator = Factory.create(locale)
    names = {name for provider in generator.providers for name in dir(provider) if not name.startswith("_")}
    methods = {name: getattr(generator, name, None) for name in sorted(names)}
    return generator, {name: method for name, method in methods.items() if callable(method)}


def parse_call(expression: str) -> tuple[str, dict[str, Any]]:
    """Split ``name`` or ``name(key=literal, …)`` into its name and arguments.

    Raises:
        ValueError: It is neither; the message says what was expected.
    """
    if expression.isidentifier():
        return expression, {}
    try:
        call = ast.parse(expression.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            raise ValueError
        return call.func.id, {str(word.arg): ast.literal_eval(word.value) for word in call.keywords if word.arg}
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError("a method of Faker, such as name or random_int(min=1, max=9)") from error
