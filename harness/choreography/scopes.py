"""Which names a template may use where: the shapes that scopes have when a run fills them in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from misstep.harness.choreography.fakes import Fakes
from misstep.harness.choreography.templates import placeholders
from misstep.harness.choreography.words import Choreography, Driver, Service

FILLED: Final = "…"
BROKER: Final = ("url", "host", "port", "user", "password", "vhost")
STORES: Final = {
    "sqlite": ("url", "path"),
    "postgres": ("url", "host", "port", "user", "password", "database"),
    "tcp": ("url", "host", "port"),
}


class Anything(Mapping[str, str]):
    """A mapping that has every key, such as an environment nobody knows yet."""

    def __getitem__(self, key: str) -> str:
        return FILLED

    def __contains__(self, key: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def mentions(text: str, name: str) -> bool:
    """Say whether a template mentions a name, or anything beneath it; one that cannot be read mentions nothing."""
    try:
        names = placeholders(text)
    except ValueError:
        return False
    return any(found == name or found.startswith(f"{name}.") for found in names)


def listens(service: Service) -> bool:
    """Say whether a service is given a port: it is where its command or environment mentions ``{port}``."""
    return any(mentions(text, "port") for text in (*service.processes.values(), *service.env.values()))


def filled(*names: str) -> dict[str, object]:
    """Return the shape of a group of names."""
    return dict.fromkeys(names, FILLED)


def shape_of_environment() -> dict[str, object]:
    """Return the names that may stand in URLs of parts that run elsewhere."""
    return {"env": Anything()}


def shape_of_stage(choreography: Choreography) -> dict[str, object]:
    """Return the names that every text that runs on the stage may use."""
    return {
        "stores": {name: filled(*STORES[store.kind]) for name, store in choreography.stores.items()},
        "services": {
            name: filled("address", "port") if listens(service) else {}
            for name, service in choreography.services.items()
        },
        "externals": {name: filled("url") for name in choreography.externals},
        "env": Anything(),
        "python": FILLED,
    }


def shape_of_service(choreography: Choreography, service: Service) -> dict[str, object]:
    """Return the names that a service's command and environment may use."""
    shape = shape_of_stage(choreography) | filled("port")
    return shape | {"broker": filled(*BROKER)} if service.broker else shape


def shape_of_driver(choreography: Choreography, driver: Driver, *, data: bool, correlation: bool) -> dict[str, object]:
    """Return the names that a driver's texts may use.

    Args:
        choreography: What it is part of.
        driver: The driver.
        data: Whether its data is known by then, so that ``{data.FIELD}`` means something.
        correlation: Whether ``{correlation}`` does.
    """
    shape = shape_of_stage(choreography) | {"faker": Fakes(), "broker": filled(*BROKER)}
    if data:
        shape["data"] = driver.json if isinstance(driver.json, dict) else Anything()
    return shape | filled("correlation") if correlation else shape


def shape_of_look(choreography: Choreography) -> dict[str, object]:
    """Return the names that probes and views may use."""
    return shape_of_stage(choreography) | filled("correlation")


def shape_of_answer() -> dict[str, object]:
    """Return the names that the answer of an external may use."""
    request = filled("method", "path", "text") | {"json": Anything(), "headers": Anything(), "query": Anything()}
    return {"request": request, "faker": Fakes(), "env": Anything()}
