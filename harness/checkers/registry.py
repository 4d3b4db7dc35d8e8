"""The checkers that judge every run, in the order of a report."""

from __future__ import annotations

from typing import Final

from misstep.harness.checkers.contract import contract
from misstep.harness.checkers.cycle import cycle
from misstep.harness.checkers.effects import effects
from misstep.harness.checkers.ledger import ledger
from misstep.harness.checkers.parity import parity
from misstep.harness.checkers.progress import progress
from misstep.harness.checkers.saga import saga
from misstep.harness.checkers.vacuity import vacuity
from misstep.harness.checkers.verdict import Checker
from misstep.harness.checkers.view import view
from misstep.harness.checkers.wire import wire

BUILT_IN: Final[tuple[Checker, ...]] = (vacuity, effects, ledger, saga, parity, view, progress, cycle, contract, wire)
"""All of them."""
