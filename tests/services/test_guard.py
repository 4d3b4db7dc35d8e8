"""The guard: what it starts, how it ends it, and that nothing outlives the harness."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from misstep.harness.errors import StageError
from misstep.harness.services.guardian import Command, Exit, Guard

DEADLINE = 20.0

# Listens on a free port from a daemonised grandchild (double fork, setsid, a wiped environment), and says where.
DAEMON = """
import json, os, socket, sys, time
listener = socket.create_server(("127.0.0.1", 0))
listener.set_inheritable(True)
if os.fork():
    time.sleep(600)
os.setsid()
if os.fork():
    os._exit(0)
if "--wipe" in sys.argv:
    code = "import os, sys, time; sys.stdout.write(sys.argv[1] % os.getpid()); sys.stdout.flush(); time.sleep(600)"
    text = '{"daemon": %d, "port": ' + str(listener.getsockname()[1]) + "}\\n"
    os.execve(sys.executable, [sys.executable, "-c", code, text], {})
print(json.dumps({"daemon": os.getpid(), "port": listener.getsockname()[1]}), flush=True)
time.sleep(600)
"""

HARNESS = """
import asyncio, os, sys, time
from pathlib import Path
from misstep.harness.services.guardian import Command, Guard

async def main():
    folder = Path(sys.argv[1])
    async with Guard() as guard:
        await guard.adopt(folder / "scratch")
        command = Command((sys.executable, "-c", sys.argv[2], "--wipe"), os.environ, folder, folder / "daemon.log")
        process = await guard.spawn(command)
        fork = os.fork() if "--fork" in sys.argv else -1
        if fork == 0:
            time.sleep(600)
        print(guard.pid, process.pid, fork, flush=True)
        await process.wait()

asyncio.run(main())
"""


@pytest_asyncio.fixture
async def guard() -> AsyncIterator[Guard]:
    async with Guard.start() as guard:
        yield guard


@pytest.mark.asyncio
async def test_a_guard_outlives_who_is_cancelled_while_it_starts(tmp_path: Path) -> None:
    command = Command((sys.executable, "-c", "raise SystemExit(7)"), os.environ, tmp_path, tmp_path / "log")
    async with Guard() as guard:
        impatient = asyncio.create_task(guard.spawn(command))
        await until(lambda: guard._channel is not None)
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        process = await guard.spawn(command)
        assert (await process.wait()).code == 7


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition of the outside world holds."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 (the outside world has no event to wait for)
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def refused(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def python(code: str, folder: Path, *arguments: str, **env: str) -> Command:
    return Command((sys.executable, "-c", code, *arguments), {**os.environ, **env}, folder, folder / "log")


async def report(folder: Path, log: str = "log") -> dict[str, int]:
    """Return what the daemonised grandchild wrote."""
    path = folder / log
    await until(lambda: path.exists() and path.read_text().endswith("}\n"))
    return dict(json.loads(path.read_text().splitlines()[-1]))


@pytest.mark.asyncio
async def test_tells_how_processes_end(guard: Guard, tmp_path: Path) -> None:
    left = await guard.spawn(python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)", tmp_path))
    killed = await guard.spawn(python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", tmp_path))

    assert await left.wait() == Exit(code=3, signal=None)
    assert left.exited == Exit(code=3, signal=None)
    assert str(left.exited) == "exited with status 3"
    assert str(await killed.wait()) == "was killed by SIGSEGV"
    assert sorted(left.log.read_text().split()) == ["err", "out"]


@pytest.mark.asyncio
async def test_children_see_their_own_environment_folder_and_default_signals(guard: Guard, tmp_path: Path) -> None:
    code = """if True:
        import json, os, signal
        print(json.dumps([os.environ["COLOUR"], "HOME" in os.environ, os.getcwd(), os.getsid(0) == os.getpid(),
              signal.getsignal(signal.SIGINT) is signal.default_int_handler, sorted(os.listdir("/proc/self/fd"))]))
    """
    command = Command((sys.executable, "-c", code), {"COLOUR": "red"}, tmp_path, tmp_path / "log")
    process = await guard.spawn(command)
    await process.wait()

    colour, home, cwd, leads, interrupts, files = json.loads(process.log.read_text())
    assert [colour, home, cwd, leads, interrupts] == ["red", False, os.path.realpath(tmp_path), True, True]  # noqa: ASYNC240
    assert len(files) == 4, "standard streams and the listing itself: nothing of the guard leaks"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("argv", "kind", "about"),
    [
        (("no-such-program",), FileNotFoundError, "no-such-program"),
        (("./plain",), PermissionError, "./plain"),
        (("./empty-script",), OSError, "./empty-script"),
    ],
)
async def test_says_why_a_process_cannot_start(
    guard: Guard, tmp_path: Path, argv: tuple[str, ...], kind: type[OSError], about: str
) -> None:
    (tmp_path / "plain").write_text("text")
    (tmp_path / "empty-script").write_bytes(b"\x7fnot a program")
    (tmp_path / "empty-script").chmod(0o755)
    with pytest.raises(kind) as caught:
        await guard.spawn(Command(argv, os.environ, tmp_path, tmp_path / "log"))
    assert caught.value.filename == about


@pytest.mark.asyncio
async def test_says_that_the_folder_is_missing(guard: Guard, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        await guard.spawn(Command(("true",), os.environ, tmp_path / "nowhere", tmp_path / "log"))
    assert caught.value.filename == str(tmp_path / "nowhere")


@pytest.mark.asyncio
async def test_says_that_the_user_is_unknown(guard: Guard, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nobody-of-that-name") as caught:
        await guard.spawn(Command(("true",), os.environ, tmp_path, tmp_path / "log", user="nobody-of-that-name"))
    assert caught.value.filename == "nobody-of-that-name"


@pytest.mark.asyncio
async def test_runs_as_another_user(guard: Guard, tmp_path: Path) -> None:
    user = "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    process = await guard.spawn(Command(("id", "-un"), os.environ, Path("/"), tmp_path / "log", user=user))
    await process.wait()
    assert process.log.read_text().strip() == user


@pytest.mark.asyncio
async def test_kill_reaches_a_daemonised_grandchild_and_nobody_else(guard: Guard, tmp_path: Path) -> None:
    process = await guard.spawn(python(DAEMON, tmp_path))
    bystander = await guard.spawn(Command(("sleep", "600"), os.environ, tmp_path, tmp_path / "other"))
    found = await report(tmp_path)
    assert await process.tree() == [process.pid, found["daemon"]]

    assert await process.kill() == Exit(code=None, signal=signal.SIGKILL)

    assert not alive(found["daemon"])
    assert refused(found["port"])
    assert bystander.exited is None
    assert alive(bystander.pid)


@pytest.mark.asyncio
async def test_kill_after_the_end_reaches_what_was_left_behind(guard: Guard, tmp_path: Path) -> None:
    code = DAEMON.replace("    time.sleep(600)\nos.setsid()", "    sys.exit(0)\nos.setsid()")
    process = await guard.spawn(python(code, tmp_path))
    found = await report(tmp_path)
    assert (await process.wait()).code == 0
    assert alive(found["daemon"])

    await process.kill()

    assert not alive(found["daemon"])


@pytest.mark.asyncio
async def test_terminate_lets_a_process_end_by_itself(guard: Guard, tmp_path: Path) -> None:
    code = """if True:
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        print("ready", flush=True)
        time.sleep(600)
    """
    process = await guard.spawn(python(code, tmp_path))
    await until(lambda: "ready" in process.log.read_text())
    assert await process.terminate(grace=DEADLINE) == Exit(code=7, signal=None)


@pytest.mark.asyncio
async def test_terminate_kills_who_will_not_end(guard: Guard, tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=1); time.sleep(99)"
    process = await guard.spawn(python(code, tmp_path))
    await until(lambda: "ready" in process.log.read_text())
    assert await process.terminate(grace=0.1) == Exit(code=None, signal=signal.SIGKILL)


@pytest.mark.asyncio
async def test_pause_stops_the_whole_tree_and_resume_lets_it_go_on(guard: Guard, tmp_path: Path) -> None:
    process = await guard.spawn(python(DAEMON, tmp_path))
    found = await report(tmp_path)

    def states() -> set[str]:
        pids = (process.pid, found["daemon"])
        return {Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in pids}

    await process.pause()
    await until(lambda: states() == {"T"})
    await process.resume()
    await until(lambda: "T" not in states())


@pytest.mark.asyncio
async def test_many_processes_at_once(guard: Guard, tmp_path: Path) -> None:
    def command(number: int) -> Command:
        return Command(("sh", "-c", f"echo {number}; exit {number}"), os.environ, tmp_path, tmp_path / f"{number}.log")

    processes = await asyncio.gather(*(guard.spawn(command(number)) for number in range(40)))
    exits = await asyncio.gather(*(process.wait() for process in processes))

    assert [found.code for found in exits] == list(range(40))
    assert [process.log.read_text() for process in processes] == [f"{number}\n" for number in range(40)]
    assert await asyncio.gather(*(process.kill() for process in processes)) == exits


@pytest.mark.asyncio
async def test_the_end_of_the_guard_ends_everything(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "file").touch()
    async with Guard() as guard:
        await guard.adopt(scratch)
        process = await guard.spawn(python(DAEMON, tmp_path, "--wipe"))
        found = await report(tmp_path)
        assert guard.pid is not None
        pid = guard.pid
    assert not any(map(alive, (pid, process.pid, found["daemon"])))
    assert refused(found["port"])
    assert not scratch.exists()
    with pytest.raises(StageError, match="the guard is closed"):
        await guard.spawn(Command(("true",), os.environ, tmp_path, tmp_path / "log"))


@pytest.mark.asyncio
async def test_a_killed_guard_is_told_to_everyone_and_takes_its_children_along(tmp_path: Path) -> None:
    async with Guard() as guard:
        process = await guard.spawn(Command(("sleep", "600"), os.environ, tmp_path, tmp_path / "log"))
        assert guard.pid is not None
        os.kill(guard.pid, signal.SIGKILL)
        with pytest.raises(StageError, match="the guard process ended"):
            await process.wait()
        with pytest.raises(StageError, match="the guard process ended"):
            await process.kill()
        await until(lambda: not alive(process.pid))


@pytest.mark.asyncio
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("fork", [False, True], ids=["", "a fork of the harness lives on"])
async def test_nothing_outlives_a_killed_harness(tmp_path: Path, number: int, fork: bool) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    harness, pids = start_harness(tmp_path, fork)
    found = await report(tmp_path, "daemon.log")
    harness.send_signal(number)
    harness.wait()
    *gone, forked = pids
    try:
        await until(lambda: not any(map(alive, (*gone, found["daemon"]))))
        assert refused(found["port"])
        assert not scratch.exists()
        assert not fork or alive(forked)
    finally:
        if fork:
            os.kill(forked, signal.SIGKILL)


def start_harness(folder: Path, fork: bool) -> tuple[subprocess.Popen[str], list[int]]:
    """Run a harness with one daemonising service; return the pids of its guard, the service, and its own fork."""
    arguments = [sys.executable, "-c", HARNESS, str(folder), DAEMON, *["--fork"] * fork]
    harness = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert harness.stdout is not None
    with harness.stdout as output:
        return harness, [int(pid) for pid in output.readline().split()]


THREADED = """
import socket, sys, threading, time
listener = socket.create_server(("127.0.0.1", 0))
memory = bytearray(200_000_000)
for _ in range(60):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
print(listener.getsockname()[1], flush=True)
time.sleep(600)
"""


@pytest.mark.asyncio
async def test_kill_waits_for_all_threads_of_a_grandchild(guard: Guard, tmp_path: Path) -> None:
    """The first thread is a zombie while others still hold the sockets."""
    for number in range(5):
        log = tmp_path / f"{number}.log"
        argv = ("sh", "-c", '"$@" & wait', "sh", sys.executable, "-c", THREADED)
        process = await guard.spawn(Command(argv, os.environ, tmp_path, log))
        await until(lambda log=log: log.read_text().endswith("\n"))
        await process.kill()
        assert refused(int(log.read_text()))
