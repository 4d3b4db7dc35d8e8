"""The TCP sockets of a process tree, read from /proc: who listens where, and who bypasses a link.

Sources: proc(5) for ``/proc/PID/fd`` and ``/proc/PID/net/tcp``; the states are those of ``include/net/tcp_states.h``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

ESTABLISHED, LISTEN = "01", "0A"


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """An IP address, in its shortest spelling, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Sockets:
    """The TCP sockets of some processes.

    Attributes:
        remote: Where their established connections lead.
        listening: Where they listen.
        unreadable: Processes whose sockets the harness may not see (they run as another user).
    """

    remote: frozenset[Address]
    listening: frozenset[Address]
    unreadable: tuple[int, ...] = ()


def sockets_of(pids: Iterable[int]) -> Sockets:
    """Read the TCP sockets of processes; those that are gone have none."""
    remote: set[Address] = set()
    listening: set[Address] = set()
    unreadable = []
    for pid in pids:
        try:
            owned = _inodes(pid)
            rows = list(_rows(pid))
        except (FileNotFoundError, ProcessLookupError):
            continue
        except PermissionError:
            unreadable.append(pid)
            continue
        remote.update(there for _, there, state, inode in rows if state == ESTABLISHED and inode in owned)
        listening.update(here for here, _, state, inode in rows if state == LISTEN and inode in owned)
    return Sockets(frozenset(remote), frozenset(listening), tuple(unreadable))


def bypasses(remote: Collection[Address], real: Mapping[str, Collection[Address]]) -> dict[str, Address]:
    """Name the connections that lead straight to a broker or store, past the link to it.

    Args:
        remote: Where a service's connections lead.
        real: The addresses of each broker and store, by a name that a user knows it by.
    """
    return {name: there for name, addresses in real.items() for there in sorted(remote) if there in addresses}


async def addresses_of(host: str, port: int) -> frozenset[Address]:
    """Resolve a host to all its addresses.

    Raises:
        OSError: The name is not known.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return frozenset(Address(_plain(str(where[0])), port) for *_, where in found)


def _inodes(pid: int) -> set[str]:
    """Return the inodes of a process's sockets."""
    folder = f"/proc/{pid}/fd"
    found = set()
    for name in os.listdir(folder):
        try:
            target = os.readlink(f"{folder}/{name}")
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def _rows(pid: int) -> Iterator[tuple[Address, Address, str, str]]:
    """Yield local address, remote address, state and inode of each TCP socket in a process's network namespace."""
    for table in ("tcp", "tcp6"):
        try:
            with open(f"/proc/{pid}/net/{table}", encoding="ascii") as file:
                lines = file.readlines()[1:]
        except FileNotFoundError:
            if table == "tcp":
                raise
            continue  # a machine without IPv6
        for line in lines:
            fields = line.split()
            yield _address(fields[1]), _address(fields[2]), fields[3], fields[9]


def _address(text: str) -> Address:
    """Parse ``0100007F:1F90``: words of 32 bits in the machine's byte order, then the port."""
    digits, _, port = text.partition(":")
    words = bytes.fromhex(digits)
    if sys.byteorder == "little":
        words = b"".join(words[start : start + 4][::-1] for start in range(0, len(words), 4))
    return Address(_plain(str(ipaddress.ip_address(words))), int(port, 16))


def _plain(host: str) -> str:
    """Spell an address in one way: IPv4 in IPv6 as plain IPv4, without a scope."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
