"""Views: what a client sees while the saga runs; looked at again and again, each change told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from misstep.harness.choreography.bodies import read_body
from misstep.harness.choreography.paths import MISSING, walk
from misstep.harness.choreography.plain import text_of
from misstep.harness.choreography.requests import split_part, split_request
from misstep.harness.choreography.templates import expand
from misstep.harness.choreography.words import View
from misstep.harness.outside.wording import reason

if TYPE_CHECKING:
    import httpx

GONE = (404, 410)


@dataclass(frozen=True, slots=True, kw_only=True)
class Glimpse:
    """A client looked, and saw another value than before.

    Attributes:
        view: Which view.
        correlation: The saga that was looked at.
        at: When the answer came, by the clock that was passed in.
        value: What was seen; None where there is nothing yet, or nothing any more.
        error: Why nothing could be seen, so that the value is unknown; empty when it could.
    """

    view: str
    correlation: str
    at: float
    value: str | None
    error: str = ""


async def poll(
    view: View,
    correlation: str,
    tell: Callable[[Glimpse], None],
    *,
    scope: Mapping[str, object],
    client: httpx.AsyncClient,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    within: float = 5.0,
) -> None:
    """Look at a view until cancelled, and then a last time.

    Args:
        view: The view.
        correlation: The saga to look at.
        tell: Called with the first look and with each that differs from the one before.
        scope: What names in templates mean on this stage.
        client: Sends the requests; must still be open when this is cancelled.
        clock: Seconds from the origin of the run's history.
        sleep: Waits between two looks.
        within: Seconds that one look may take.

    Raises:
        ChoreographyError: A template names something that does not exist.
    """
    url = expand(split_request(view.http)[1], {**scope, "correlation": correlation})
    last: tuple[str | None, bool] | None = None

    async def look() -> None:
        nonlocal last
        value, error = await see(view, url, client, within)
        if (value, bool(error)) != last:
            last = (value, bool(error))
            tell(Glimpse(view=view.name, correlation=correlation, at=clock(), value=value, error=error))

    try:
        while True:
            await look()
            await sleep(view.every)
    except asyncio.CancelledError:
        await look()
        raise


async def see(view: View, url: str, client: httpx.AsyncClient, within: float) -> tuple[str | None, str]:
    """Look once: the value, and why there is none."""
    import httpx

    try:
        async with asyncio.timeout(within):
            response = await client.get(url, timeout=within)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        return None, f"GET {url} was not answered: {reason(error)}"
    if view.value == "status":
        return str(response.status_code), ""
    if response.status_code in GONE:
        return None, ""
    if response.status_code >= 400:
        return None, f"GET {url} was answered {response.status_code}"
    kind, path = split_part(view.value, ("json", "header"))
    data = read_body(response.content) if kind == "json" else None
    found = response.headers.get(path, MISSING) if kind == "header" else walk(data, path)
    if data is MISSING:
        return None, f"GET {url} was answered with what is no JSON"
    return None if found is MISSING or found is None else text_of(found), ""
