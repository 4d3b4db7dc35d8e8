"""What an external answers: its script, followed without any I/O."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from misstep.harness.choreography.fakes import Fakes
from misstep.harness.choreography.paths import MISSING, walk
from misstep.harness.choreography.plain import canonical
from misstep.harness.choreography.requests import matches
from misstep.harness.choreography.templates import expand, expand_json
from misstep.harness.choreography.words import Answer, External, Json
from misstep.harness.errors import ChoreographyError
from misstep.harness.outside.calls import Request, part_of

UNSAFE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What an external answers to one request.

    Attributes:
        status: The HTTP status.
        headers: The headers, without a length.
        body: The body.
        delay: Seconds to wait before it is sent.
        scripted: Whether a scripted answer applied.
        once: The value of the request's idempotency key; empty where the answer has none.
        replay: Whether it repeats the answer to an earlier request with the same key.
        detail: Why no scripted answer applied.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0
    scripted: bool = True
    once: str = ""
    replay: bool = False
    detail: str = ""


class Script:
    """The scripted answers of one external: how often each was given, and to which idempotency keys.

    Args:
        external: The external.
        environment: What ``{env.NAME}`` means.
        seed: The seed of generated values.
    """

    def __init__(self, external: External, environment: Mapping[str, str], seed: int = 0) -> None:
        self.external = external
        self.environment = environment
        self.seed = seed
        self.fakes = Fakes(seed)
        self.given: Counter[int] = Counter()
        self.asked: Counter[str] = Counter()
        self.remembered: dict[tuple[int, str], Reply] = {}

    def begin(self, seed: int) -> None:
        """Start over for a new run; idempotency keys stay known, as a third party remembers them."""
        self.seed = seed
        self.given.clear()
        self.asked.clear()

    def reply(self, request: Request) -> Reply:
        """Return the answer to a request, and count it."""
        fitting = [(number, answer) for number, answer in enumerate(self.external.answers) if applies(answer, request)]
        for number, answer in fitting:
            if (first := self.remembered.get((number, key_of(answer, request)))) is not None:
                return replace(first, replay=True)
        for number, answer in fitting:
            if not answer.times or self.given[number] < answer.times:
                return self.give(number, answer, request)
        return self.refuse(404, self.nothing(request, spent=bool(fitting)))

    def give(self, number: int, answer: Answer, request: Request) -> Reply:
        """Return one scripted answer, and remember that it was given."""
        try:
            reply = self.fill(answer, request)
        except ChoreographyError as error:
            return self.refuse(400, str(error))
        self.given[number] += 1
        if once := key_of(answer, request):
            reply = replace(reply, once=once)
            self.remembered[number, once] = reply
        return reply

    def fill(self, answer: Answer, request: Request) -> Reply:
        """Expand an answer's templates.

        Raises:
            ChoreographyError: The request lacks something that the answer is made of.
        """
        self.fakes.renew(self.stream(request))
        scope = {"request": request.names(), "faker": self.fakes, "env": self.environment}
        headers = {name.lower(): expand(text, scope) for name, text in answer.headers.items()}
        headers = {name: UNSAFE.sub(" ", value) for name, value in headers.items()}
        headers.pop("content-length", None)
        headers.pop("transfer-encoding", None)
        data = expand_json(answer.json, scope)
        if data is None:
            return Reply(status=answer.status, headers=headers, delay=answer.delay)
        kind = headers.setdefault("content-type", "application/json")
        text = data if isinstance(data, str) and "json" not in kind else canonical(data)
        return Reply(status=answer.status, headers=headers, body=text.encode(errors="replace"), delay=answer.delay)

    def stream(self, request: Request) -> str:
        """Return the name of the random stream for a request: its content, so that the order of requests is all one."""
        content = f"{request.method} {request.target}\n".encode() + request.body
        digest = hashlib.sha256(content).hexdigest()
        self.asked[digest] += 1
        return f"{self.seed}/{self.external.name}/{digest}/{self.asked[digest]}"

    def nothing(self, request: Request, *, spent: bool) -> str:
        """Return why no answer applies."""
        patterns = ", ".join(answer.when for answer in self.external.answers) or "nothing"
        why = "every answer that matches was given as often as it may be" if spent else f"scripted are: {patterns}"
        return f"externals.{self.external.name} has no answer for {request.method} {request.path}; {why}"

    def refuse(self, status: int, detail: str) -> Reply:
        """Return the answer to a request that the script does not cover."""
        body = canonical({"error": detail}).encode(errors="replace")
        headers = {"content-type": "application/json"}
        return Reply(status=status, headers=headers, body=body, scripted=False, detail=detail)


def applies(answer: Answer, request: Request) -> bool:
    """Say whether an answer is meant for a request, however often it was given."""
    if not matches(answer.when, request.method, request.target):
        return False
    return all(agrees(walk(request.json, path), wanted) for path, wanted in answer.matching.items())


def agrees(found: object, wanted: Json) -> bool:
    """Say whether data is what was asked for; of a table only the keys that were asked for count."""
    if isinstance(wanted, dict):
        return found is not MISSING and all(agrees(walk(found, key), inner) for key, inner in wanted.items())
    return found == wanted and isinstance(found, bool) == isinstance(wanted, bool)


def key_of(answer: Answer, request: Request) -> str:
    """Return the idempotency key that an answer looks for in a request; empty where there is none."""
    return part_of(answer.once_by, request.target, request.headers, request.json) if answer.once_by else ""
