"""Ports for foreign processes, which can only be told a number beforehand.

Listeners of our own bind port 0 instead. A port is leased outside the range that the kernel draws outgoing ports from
(ip(7), ip_local_port_range), so that nothing takes it while its service is down between a kill and a restart; and
under a name in the abstract socket namespace (unix(7)), which all harnesses of one network namespace see and which is
gone with the process that holds it.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from misstep.harness.errors import StageError

LOWEST, HIGHEST = 10_000, 65_535
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
ATTEMPTS = 200


class PortLease:
    """A TCP port that no other harness on this machine is given while the lease lasts.

    Attributes:
        port: The port's number.
    """

    def __init__(self, port: int, claim: socket.socket) -> None:
        self.port = port
        self._claim = claim

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<PortLease {self.port}>"

    def release(self) -> None:
        """Give the port back."""
        self._claim.close()


def lease_port(host: str = "127.0.0.1") -> PortLease:
    """Lease a port that is free on a host address of this machine.

    Raises:
        StageError: No free port was found.
    """
    choices = _candidates()
    draw = random.SystemRandom()
    for _ in range(ATTEMPTS):
        port = draw.choice(choices)
        claim = _claim(port)
        if claim is None:
            continue
        if _is_free(host, port):
            return PortLease(port, claim)
        claim.close()
    raise StageError(
        f"no free TCP port was found on {host} in {ATTEMPTS} attempts among {len(choices)} candidates: "
        "expected most to be free. What listens there? `ss -ltn` tells."
    )


def _candidates() -> range:
    """Return the larger range of ports beside the ephemeral one; every port where that leaves too few."""
    try:
        low, high = map(int, EPHEMERAL.read_text().split())
    except OSError:
        return range(LOWEST, HIGHEST)
    beside = max(range(LOWEST, low), range(high + 1, HIGHEST), key=len)
    return beside if len(beside) >= 1000 else range(LOWEST, HIGHEST)


def _claim(port: int) -> socket.socket | None:
    """Take the port's name among harnesses; None when another holds it."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0misstep-port-{port}")
    except OSError:
        claim.close()
        return None
    return claim


def _is_free(host: str, port: int) -> bool:
    """Say whether the port can be bound; SO_REUSEADDR is left out, so that a listener on any address counts."""
    with socket.socket() as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
