"""The table of kinds, and how a fault of a plan is put to work; the harness is given :func:`arm`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from misstep.chaos.faults import broker, delivery, link, message, process
from misstep.chaos.faults.kind import Kind, check, meant
from misstep.harness.choreography.words import Choreography
from misstep.harness.disturbance import Disturbance, Ground, Tell
from misstep.harness.errors import PlanError
from misstep.harness.plan import Fault, Plan

MODULES = (delivery, process, link, message, broker)

KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for module in MODULES for kind in module.KINDS})
"""Every kind of fault, by its name."""


def kind_of(fault: Fault) -> Kind:
    """Return the kind of a fault.

    Raises:
        PlanError: There is no such kind.
    """
    if fault.kind not in KINDS:
        near = meant(fault.kind, KINDS)
        raise PlanError(f"there is no fault {fault.kind!r}{near}; there are {', '.join(KINDS)}")
    return KINDS[fault.kind]


def fit(fault: Fault, choreography: Choreography) -> Kind:
    """Return the kind of a fault that can be made in this choreography.

    Raises:
        PlanError: It cannot; the message says why, and what is right.
    """
    kind = kind_of(fault)
    check(kind, fault)
    service = fault.at.service
    if service and service not in choreography.services:
        near = meant(service, choreography.services)
        raise PlanError(f"{fault} names service {service!r}{near}; there are {', '.join(choreography.services)}")
    if service and not choreography.services[service].broker:
        on_link = fault.at.moment not in ("drive", "quiet") or fault.kind.startswith("link.")
        if on_link:
            raise PlanError(f"{fault} needs a link, and {service} has none: it is declared with broker = false")
    return kind


def fit_plan(plan: Plan, choreography: Choreography) -> None:
    """Check that a plan can be run in this choreography.

    Raises:
        PlanError: A driver or a fault does not fit it.
    """
    for drive in plan.drives:
        if drive.driver not in choreography.drivers:
            near = meant(drive.driver, choreography.drivers)
            raise PlanError(f"there is no driver {drive.driver!r}{near}; there are {', '.join(choreography.drivers)}")
    for fault in plan.faults:
        fit(fault, choreography)


def arm(fault: Fault, ground: Ground, tell: Tell) -> Disturbance:
    """Put a fault to work; this is the harness's :data:`~misstep.harness.disturbance.Arm`.

    Raises:
        PlanError: There is no such kind, a parameter is wrong, or it does not fit the choreography.
    """
    return fit(fault, ground.choreography).make(fault, ground, tell)
