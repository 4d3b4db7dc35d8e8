"""Requests that services send to externals, and what is kept of them: a :class:`Call`, secrets left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import parse_qsl, unquote

from misstep.harness.choreography.bodies import read_body
from misstep.harness.choreography.paths import MISSING, walk
from misstep.harness.choreography.plain import plain, text_of
from misstep.harness.choreography.requests import is_secret, split_part
from misstep.harness.choreography.words import Json

REDACTED = "***"


class Headers(Mapping[str, str]):
    """Headers of one request, looked up without regard to case; one that stands there twice is joined by a comma."""

    def __init__(self, pairs: Iterator[tuple[str, str]] | None = None) -> None:
        self._values: dict[str, str] = {}
        for name, value in pairs or ():
            known = self._values.get(name.lower())
            self._values[name.lower()] = value if known is None else f"{known}, {value}"

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class Request:
    """A request as it came in.

    Attributes:
        method: Such as ``POST``.
        target: The path, with the query where it has one.
        headers: The headers.
        body: The body, untouched.
    """

    def __init__(self, method: str, target: str, headers: Headers, body: bytes = b"") -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body

    @property
    def path(self) -> str:
        """The path, without its query."""
        return self.target.partition("?")[0]

    @property
    def text(self) -> str:
        """The body as text; bytes that are no UTF-8 become ``�``."""
        return self.body.decode(errors="replace")

    @cached_property
    def query(self) -> dict[str, str]:
        """The query's fields."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @cached_property
    def json(self) -> Json:
        """The body as data: JSON, or a form's fields; its text where it is neither; None where there is none."""
        if not self.body:
            return None
        if self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return dict(parse_qsl(self.text, keep_blank_values=True))
        data = read_body(self.body)
        return self.text if data is MISSING else plain(data)

    def names(self) -> dict[str, object]:
        """Return what ``{request.…}`` means in the answers of an external."""
        return {
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": self.headers,
            "json": self.json,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A service called an external.

    Attributes:
        external: Which.
        method: Such as ``POST``; empty where the request could not be understood.
        path: The path, with the query where it has one; secrets in it are replaced by ``***``.
        headers: By lower-case name; the values of those that hold secrets are ``***``.
        body: The request's JSON or form fields, else its text; None where it has none.
        status: What it was answered, or would have been.
        answered: Whether the whole answer was handed to the connection while the caller was still there. What the
            external did has happened either way.
        scripted: Whether a scripted answer applied.
        once: The value of its idempotency key; empty where the answer has none.
        replay: Whether an earlier call had the same key, so that nothing was done again.
        detail: Why there was no scripted answer; empty where there was.
    """

    external: str
    method: str = ""
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json = None
    status: int
    answered: bool = True
    scripted: bool = True
    once: str = ""
    replay: bool = False
    detail: str = ""


def redacted_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers by lower-case name, with the values of those that hold secrets replaced."""
    return {name.lower(): REDACTED if is_secret(name) else value for name, value in headers.items()}


def redacted_target(target: str) -> str:
    """Return a path with its query, the values of the query's secrets replaced."""
    path, mark, query = target.partition("?")
    fields = (part.partition("=") for part in query.split("&"))
    kept = (
        f"{name}={REDACTED}" if equals and is_secret(name) else name + equals + value for name, equals, value in fields
    )
    return path + mark + "&".join(kept)


def part_of(where: str, target: str, headers: Mapping[str, str], body: Json) -> str:
    """Return what stands somewhere in a request, as text; empty where there is nothing.

    Args:
        where: ``json:PATH``, ``header:NAME`` or ``path:N``, the Nth segment of the path, from 1.
        target: The request's path.
        headers: Its headers, by lower-case name.
        body: Its body as data.

    Raises:
        ValueError: ``where`` is none of these.
    """
    kind, rest = split_part(where, ("json", "header", "path"))
    if kind == "header":
        return headers.get(rest.lower(), "")
    if kind == "path":
        segments = target.partition("?")[0].strip("/").split("/")
        return unquote(segments[int(rest) - 1]) if 0 < int(rest) <= len(segments) else ""
    found = walk(body, rest)
    return "" if found is MISSING or found is None else text_of(found)
