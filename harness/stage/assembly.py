"""From a service as declared to one that can be launched: every template expanded, every address a link's own."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

from misstep.harness.choreography.templates import expand, expand_command, placeholders
from misstep.harness.choreography.words import Choreography, Service
from misstep.harness.services.service import Launch
from misstep.harness.services.sockets import Address

Scope = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where everything on one stage is to be found, as one service is told.

    Attributes:
        broker: The URL of the service's own link to the broker; empty where it has none.
        stores: For each store what its templates mean: ``url``, and ``path`` or ``host`` and ``port``.
        externals: The URL of each external.
        ports: The port of each service that has one.
        links: The address of each of the service's links, by ``broker`` or the store's name.
        real: Where broker and stores really are; the service has no business there.
    """

    broker: str = field(repr=False, default="")
    stores: Mapping[str, Mapping[str, str]] = field(repr=False, default_factory=dict)
    externals: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    links: Mapping[str, Address] = field(default_factory=dict)
    real: Mapping[str, Collection[Address]] = field(default_factory=dict)


def wants_port(service: Service, choreography: Choreography) -> bool:
    """Return whether the service listens on a port of its own: it, or anybody who calls it, mentions one."""
    texts = [*service.processes.values(), *service.env.values()]
    if any("port" in placeholders(text) for text in texts) or service.ready.http or service.ready.tcp:
        return True
    everywhere = [
        *(
            text
            for other in choreography.services.values()
            for text in (*other.processes.values(), *other.env.values())
        ),
        *(driver.http or driver.command for driver in choreography.drivers.values()),
        *(probe.http or probe.command for probe in choreography.probes.values()),
        *(view.http for view in choreography.views.values()),
    ]
    mine = {f"services.{service.name}.address", f"services.{service.name}.port"}
    return any(mine & set(placeholders(text)) for text in everywhere)


def uses(service: Service, store: str) -> bool:
    """Return whether a service is told where a store is."""
    texts = [*service.processes.values(), *service.env.values()]
    return any(name.startswith(f"stores.{store}.") for text in texts for name in placeholders(text))


def scope_of(addresses: Addresses, environment: Mapping[str, str], own_port: int | None = None) -> Scope:
    """Return what the names in templates mean.

    Args:
        addresses: Where everything is.
        environment: The harness's own environment, for ``{env.NAME}``.
        own_port: The service's own port, for ``{port}``.
    """
    scope: Scope = {
        "python": sys.executable,
        "stores": {name: dict(parts) for name, parts in addresses.stores.items()},
        "externals": {name: {"url": url} for name, url in addresses.externals.items()},
        "services": {
            name: {"address": f"127.0.0.1:{port}", "port": str(port)} for name, port in addresses.ports.items()
        },
        "env": MappingProxyType(dict(environment)),
    }
    if addresses.broker:
        scope["broker"] = broker_parts(addresses.broker)
    if own_port is not None:
        scope["port"] = str(own_port)
    return scope


def broker_parts(url: str) -> dict[str, str]:
    """Split a broker's URL into what ``{broker.url}``, ``{broker.host}`` and the like mean."""
    parts = urlsplit(url)
    return {
        "url": url,
        "host": parts.hostname or "",
        "port": str(parts.port or ""),
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "vhost": unquote(parts.path[1:]) or "/",
    }


def launch_of(
    service: Service, choreography: Choreography, addresses: Addresses, environment: Mapping[str, str]
) -> Launch:
    """Expand a service's templates.

    Raises:
        ChoreographyError: A template names something that does not exist.
    """
    port = addresses.ports.get(service.name)
    scope = scope_of(addresses, environment, port)
    own = {name: expand(text, scope) for name, text in service.env.items()}
    return Launch(
        name=service.name,
        commands={name: expand_command(command, scope) for name, command in service.processes.items()},
        env={**environment, **own},
        cwd=_folder(choreography.folder, service.cwd),
        ready=service.ready,
        stop_within=service.stop_within,
        port=port,
        links=addresses.links,
        real=addresses.real,
    )


def _folder(base: Path, relative: str) -> Path:
    return (base / relative).resolve()
