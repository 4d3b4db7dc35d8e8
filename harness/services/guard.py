"""The guard: a program that starts every process of a stage, and ends every descendant when the harness is gone.

It is run by file name with ``python -I -S guard.py FD PARENT``, needs the standard library alone, and is never
imported by the harness. It lives in a session of its own, is a child subreaper (daemonised grandchildren become its
children instead of init's), and reads requests from the socket ``FD``, one JSON object a line. End of file there, or
the end of the process ``PARENT``, is the order to kill all descendants and leave.

Requests (``do``): ``spawn`` {id, argv, env, cwd, log, user}; ``signal`` {request, id, signal, to: tree | group};
``end`` {request, id}: SIGKILL to the whole tree, answered when nothing of it is left; ``tree`` {request, id};
``adopt`` {folder}: it is removed with everything in it when the guard ends.

Events (``event``): ``ready`` {pid}; ``started`` {id, pid}; ``failed`` {id, errno, file}; ``exited`` {id, code, signal};
``answer`` {request, pids}; ``fault`` {trace} before the guard gives up on an error of its own.

One thread: PR_SET_PDEATHSIG, set in each child in case the guard itself is killed, fires when the spawning *thread*
ends (prctl(2)), and a fork of a threaded process may run no Python code before its exec.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any, NamedTuple

PR_SET_PDEATHSIG = 1  # prctl(2)
PR_SET_CHILD_SUBREAPER = 36
MARK = "MISSTEP_GUARDED"
RECHECK_SECONDS = 0.01

Message = dict[str, Any]


class Entry(NamedTuple):
    """What /proc/PID/stat says of one process; see proc(5).

    A zombie counts as well: the first thread of a process is one while the others still end, their sockets open.
    """

    pid: int
    runs: bool
    parent: int
    session: int
    born: int


class Root:
    """One spawned process, with all that is known to descend from it."""

    def __init__(self, pid: int, mark: str) -> None:
        self.pid = pid
        self.mark = mark
        self.sessions = {pid}
        self.known: set[tuple[int, int]] = set()
        self.alive = True

    def owns(self, entry: Entry) -> bool:
        """Say whether an orphan is this root's: seen before, in one of its sessions, or marked in its environment."""
        return (
            (entry.pid, entry.born) in self.known or entry.session in self.sessions or self.mark in marks_of(entry.pid)
        )


def marks_of(pid: int) -> list[str]:
    """Return the marks in a process's initial environment; none when it is gone or not ours to read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return []
    prefix = MARK.encode() + b"="
    return [mark for entry in entries if entry.startswith(prefix) for mark in entry[len(prefix) :].decode().split()]


def read_entry(pid: int) -> Entry | None:
    """Read one process from /proc; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    fields = text[text.rindex(b")") + 2 :].split()
    return Entry(pid, fields[0] not in (b"Z", b"X"), int(fields[1]), int(fields[3]), int(fields[19]))


def children_by_parent() -> dict[int, list[Entry]]:
    """Return every process, by its parent."""
    table: dict[int, list[Entry]] = {}
    for name in os.listdir("/proc"):
        entry = read_entry(int(name)) if name.isdigit() else None
        if entry is not None:
            table.setdefault(entry.parent, []).append(entry)
    return table


def beneath(tops: list[Entry], table: dict[int, list[Entry]]) -> Iterator[Entry]:
    """Yield processes and all their descendants, parents before children."""
    queue = list(tops)
    for entry in queue:
        queue.extend(table.get(entry.pid, ()))
        yield entry


def send_signal(pid: int, number: int) -> None:
    """Signal one process, which may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


class Guard:
    """The loop over requests, ended children and the harness's own end."""

    def __init__(self, channel: socket.socket, parent: int) -> None:
        self.channel = channel
        self.parent = parent
        self.pid = os.getpid()
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.roots: dict[str, Root] = {}
        self.folders: list[str] = []
        self.ending: dict[str, list[int]] = {}
        self.incoming = bytearray()
        self.outgoing = bytearray()
        self.selector = selectors.DefaultSelector()
        self.finished = False

    # The loop

    def run(self) -> None:
        """Serve until the harness is gone, then end every descendant."""
        self.prepare()
        try:
            while not self.finished:
                self.turn()
        except BaseException:
            self.say(event="fault", trace=traceback.format_exc())
            raise
        finally:
            self.end_everything()
            for folder in self.folders:
                shutil.rmtree(folder, ignore_errors=True)

    def prepare(self) -> None:
        """Become a subreaper, and watch the channel, the parent and signals."""
        if self.libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
        woken, waker = socket.socketpair()
        for end in (woken, waker, self.channel):
            end.setblocking(False)
        self.waker = waker
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        # Handlers that do nothing rather than SIG_IGN: an ignored signal would stay ignored in every child.
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGTERM, self.finish)
        self.selector.register(self.channel, selectors.EVENT_READ, self.on_channel)
        self.selector.register(woken, selectors.EVENT_READ, lambda _: self.on_signal(woken))
        self.watch_parent()
        self.say(event="ready", pid=self.pid)

    def watch_parent(self) -> None:
        """Notice the parent's end even where a fork of it keeps the other end of the channel open."""
        try:
            watch = os.pidfd_open(self.parent)
        except ProcessLookupError:
            self.finish()
            return
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EPERM, errno.EINVAL):
                raise
            return  # a kernel before 5.3: the end of file must do
        if os.getppid() != self.parent:
            self.finish()
        self.selector.register(watch, selectors.EVENT_READ, self.finish)

    def finish(self, *_: object) -> None:
        """Leave the loop at its next turn."""
        self.finished = True

    def turn(self) -> None:
        """Wait for whatever comes next, and handle it."""
        timeout = RECHECK_SECONDS if self.ending else None
        for key, mask in self.selector.select(timeout):
            key.data(mask)
        self.reap()
        for name in list(self.ending):
            self.continue_ending(name)

    # The channel

    def on_channel(self, mask: int) -> None:
        """Write what waits, read what came, and answer every full line."""
        if mask & selectors.EVENT_WRITE:
            self.flush()
        if not mask & selectors.EVENT_READ:
            return
        try:
            piece = self.channel.recv(1 << 16)
        except BlockingIOError:
            return
        except ConnectionError:
            piece = b""
        if not piece:
            self.finish()
            return
        self.incoming += piece
        *lines, rest = self.incoming.split(b"\n")
        self.incoming = bytearray(rest)
        for line in lines:
            self.obey(json.loads(line))

    def say(self, **event: object) -> None:
        """Send one event, now or as soon as the harness reads again."""
        self.outgoing += json.dumps(event).encode() + b"\n"
        self.flush()

    def flush(self) -> None:
        """Write as much as the channel takes, and ask to be woken for the rest."""
        try:
            while self.outgoing:
                del self.outgoing[: self.channel.send(self.outgoing)]
        except BlockingIOError:
            pass
        except OSError:
            self.outgoing.clear()
            self.finish()
            return
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.outgoing else 0)
        if self.channel in self.selector.get_map():
            self.selector.modify(self.channel, mask, self.on_channel)

    def obey(self, request: Message) -> None:
        """Do what one request says."""
        match request["do"]:
            case "spawn":
                self.spawn(request)
            case "signal":
                self.signal_tree(request)
            case "end":
                self.ending.setdefault(request["id"], []).append(request["request"])
                self.continue_ending(request["id"])
            case "tree":
                self.answer(request["request"], [entry.pid for entry in self.tree(request["id"]) if entry.runs])
            case "adopt":
                self.folders.append(request["folder"])
            case unknown:
                raise ValueError(f"the guard was asked to do {unknown!r}: expected spawn, signal, end, tree or adopt")

    def answer(self, request: int, pids: list[int]) -> None:
        """Answer one numbered request with the processes that it met."""
        self.say(event="answer", request=request, pids=pids)

    # Starting

    def spawn(self, request: Message) -> None:
        """Start one process in a session of its own, and say so, or say why not."""
        name = request["id"]
        mark = f"{self.pid}.{name}"
        env = dict(request["env"])
        env[MARK] = f"{env.get(MARK, '')} {mark}".strip()
        try:
            log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            self.say(event="failed", id=name, errno=error.errno, file=request["log"])
            return
        try:
            process = self.start(request, env, log)
        except (OSError, ValueError, KeyError) as error:
            self.say(event="failed", id=name, **reason_of(error, request))
            return
        finally:
            os.close(log)
        process.returncode = 0  # reaped by reap(), with all other children, and not by Popen
        self.roots[name] = Root(process.pid, mark)
        self.say(event="started", id=name, pid=process.pid)

    def start(self, request: Message, env: dict[str, str], log: int) -> subprocess.Popen[bytes]:
        """Fork and execute, as another user where one is named."""
        user, group, groups = identity_of(request["user"])
        return subprocess.Popen(
            request["argv"],
            env=env,
            cwd=request["cwd"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=self.die_with_guard,  # noqa: PLW1509 (one thread only)
            user=user,
            group=group,
            extra_groups=groups,
        )

    def die_with_guard(self) -> None:
        """Run in the child: ask the kernel to kill it if the guard is killed."""
        self.libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != self.pid:
            os._exit(127)

    # Ending

    def on_signal(self, woken: socket.socket) -> None:
        """Swallow the bytes that signals wrote: turn() reaps after every wake-up."""
        try:
            while woken.recv(4096):
                continue
        except BlockingIOError:
            return

    def reap(self) -> None:
        """Collect every ended child, and tell of those that were spawned by request."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for name, root in self.roots.items():
                if root.pid == pid and root.alive:
                    root.alive = False
                    self.say(event="exited", id=name, **exit_of(status))

    def tree(self, name: str) -> list[Entry]:
        """Return the processes that descend from one root, parents first, and remember them as its own."""
        root = self.roots.get(name)
        if root is None:
            return []
        table = children_by_parent()
        others = {other.pid for other in self.roots.values() if other.alive and other is not root}
        tops = [
            entry
            for entry in table.get(self.pid, ())
            if entry.pid not in others and ((root.alive and entry.pid == root.pid) or root.owns(entry))
        ]
        found = list(beneath(tops, table))
        root.known.update((entry.pid, entry.born) for entry in found)
        root.sessions.update(entry.session for entry in found if entry.session != os.getsid(0))
        return found

    def signal_tree(self, request: Message) -> None:
        """Signal a root's process group, or its whole tree until no new process appears in it."""
        number, name = request["signal"], request["id"]
        if request["to"] == "group":
            root = self.roots.get(name)
            if root is not None and root.alive:
                os.killpg(root.pid, number)
            self.answer(request["request"], [root.pid] if root is not None and root.alive else [])
            return
        done: dict[int, None] = {}
        while new := [entry.pid for entry in self.tree(name) if entry.pid not in done]:
            for pid in new:
                send_signal(pid, number)
            done.update(dict.fromkeys(new))
        self.answer(request["request"], list(done))

    def continue_ending(self, name: str) -> None:
        """Kill what is left of a tree; once nothing is, answer and forget it."""
        left = self.tree(name)
        for entry in left:
            send_signal(entry.pid, signal.SIGKILL)
        self.reap()
        root = self.roots.get(name)
        if left or (root is not None and root.alive):
            return
        self.roots.pop(name, None)
        for request in self.ending.pop(name):
            self.answer(request, [])

    def end_everything(self) -> None:
        """Kill all descendants until none is left: those whose parent dies become our children, so none escapes."""
        while True:
            table = children_by_parent()
            for entry in beneath(table.get(self.pid, []), table):
                send_signal(entry.pid, signal.SIGKILL)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    continue
            except ChildProcessError:
                return
            time.sleep(0.002)


def exit_of(status: int) -> Message:
    """Translate a wait status into the exit code or the signal that ended the process."""
    if os.WIFSIGNALED(status):
        return {"code": None, "signal": os.WTERMSIG(status)}
    return {"code": os.WEXITSTATUS(status), "signal": None}


def identity_of(user: str | None) -> tuple[int | None, int | None, list[int] | None]:
    """Return the ids of a user, its group and all its groups; None for each where the guard's own are to be kept."""
    if user is None:
        return None, None, None
    import pwd

    record = pwd.getpwnam(user)
    return record.pw_uid, record.pw_gid, os.getgrouplist(user, record.pw_gid)


def reason_of(error: Exception, request: Message) -> Message:
    """Say what kept a process from being started, and the file or user it was about."""
    if isinstance(error, OSError):
        return {"errno": error.errno or errno.EINVAL, "file": error.filename or request["argv"][0]}
    about = request["user"] if isinstance(error, KeyError) else request["argv"][0]
    return {"errno": errno.EINVAL, "file": about, "detail": str(error)}


if __name__ == "__main__":
    Guard(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])).run()
