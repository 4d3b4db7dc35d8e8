"""Commands of drivers and probes: run once, within bounds, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

LARGEST_OUTPUT = 16 * 2**20
PIECE = 64 * 2**10


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What became of a command.

    Attributes:
        status: Its exit status, negative for a signal; None when it was ended at its deadline.
        stdout: What it wrote, up to 16 MiB.
        stderr: What it complained of, up to 16 MiB.
    """

    status: int | None
    stdout: bytes = b""
    stderr: bytes = b""


class RunCommand(Protocol):
    """Runs a command to its end; :func:`run_command` is one."""

    async def __call__(
        self, argv: Sequence[str], *, stdin: bytes, env: Mapping[str, str], cwd: Path, within: float
    ) -> Output:
        """Run it.

        Args:
            argv: Its words.
            stdin: What it is given to read.
            env: Its whole environment.
            cwd: Its folder.
            within: Seconds after which it is ended.

        Raises:
            OSError: It could not be started.
        """


async def run_command(argv: Sequence[str], *, stdin: bytes, env: Mapping[str, str], cwd: Path, within: float) -> Output:
    """Run a command in a process group of its own, all of which is killed at its end; see :class:`RunCommand`."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=pipe, stdout=pipe, stderr=pipe, env=env, cwd=cwd, start_new_session=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    stdout, stderr = bytearray(), bytearray()
    status = None
    try:
        async with asyncio.timeout(within):
            await asyncio.gather(
                feed(process.stdin, stdin), collect(process.stdout, stdout), collect(process.stderr, stderr)
            )
            status = await process.wait()
    except TimeoutError:
        status = None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    return Output(status=status, stdout=bytes(stdout), stderr=bytes(stderr))


async def feed(pipe: asyncio.StreamWriter, data: bytes) -> None:
    """Write everything and close; a command need not read what it is given."""
    with suppress(ConnectionError):
        pipe.write(data)
        await pipe.drain()
    pipe.close()


async def collect(pipe: asyncio.StreamReader, kept: bytearray) -> None:
    """Read to the end, and keep as much as is allowed."""
    while piece := await pipe.read(PIECE):
        kept += piece[: LARGEST_OUTPUT - len(kept)]
