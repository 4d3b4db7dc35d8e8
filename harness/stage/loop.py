"""The stage's own event loop, in its own thread: a test that blocks never stalls the wire."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from misstep.harness.errors import StageError

T = TypeVar("T")

END_WITHIN: Final = 30.0
"""Seconds that the thread is given to end; one that hangs ends with the process, and its services by the guard."""


class StageLoop:
    """An event loop in a thread, used as a context manager; coroutines are handed to it from any other thread."""

    def __init__(self) -> None:
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._serve, name="misstep-stage", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(END_WITHIN)

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Start a coroutine on the stage's loop and return at once."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, work: Coroutine[Any, Any, T], within: float | None = None) -> T:
        """Run a coroutine on the stage's loop and block until it is done; an interrupt cancels it first.

        Args:
            work: What to run.
            within: Seconds until it is given up and cancelled; None waits as long as it takes.

        Raises:
            StageError: It was given up.
        """
        future = self.submit(work)
        try:
            return future.result(within)
        except BaseException as error:
            late = isinstance(error, TimeoutError) and not future.done()
            future.cancel()
            if late:
                what = getattr(work, "__qualname__", work)
                raise StageError(f"{what} was given up after {within:g} s: the stage hangs") from None
            raise

    async def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the stage's loop and await it on the caller's own."""
        return await asyncio.wrap_future(self.submit(work))

    def _serve(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            self._loop.call_soon(self._started.set)
            self._loop.run_forever()
