"""Containers by testcontainers, on ports that were leased beforehand; loaded only where a container is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from misstep.harness.errors import PartMissing

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

HOST = "127.0.0.1"


def run_container(
    image: str, ports: Mapping[int, int], environment: Mapping[str, str], *, hostname: str = ""
) -> DockerContainer:
    """Start a container, and return it without waiting for what runs in it. This blocks: call it in a thread.

    Args:
        image: Its image.
        ports: The leased port of this machine for each port of the container; both stay the same over a restart.
        environment: Its environment.
        hostname: Its host name; the engine's choice where empty.

    Raises:
        PartMissing: No engine answers, testcontainers is not installed, or the image cannot be had.
    """
    try:
        from docker.errors import DockerException  # type: ignore[import-untyped]
        from testcontainers.core.container import DockerContainer
    except ImportError as error:
        raise PartMissing(
            f"containers are run by testcontainers, which cannot be loaded ({error}): pip install 'misstep[docker]'"
        ) from error
    try:
        container = DockerContainer(image)
        for inner, outer in ports.items():
            container.ports[str(inner)] = (HOST, outer)  # type: ignore[assignment]  # docker-py takes pairs
        for name, value in environment.items():
            container.with_env(name, value)
        if hostname:
            container.with_kwargs(hostname=hostname)
        return container.start()
    except DockerException as error:
        raise PartMissing(
            f"{image!r} cannot be run in a container: {error}. Is a Docker engine running (`docker info`), and can it "
            "get the image? The local and embedded stages need neither"
        ) from error
