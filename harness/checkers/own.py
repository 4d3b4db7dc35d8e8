"""Checkers of a user's own: functions beside the choreography, named in it as ``module:function``."""

from __future__ import annotations

import sys
from importlib import import_module, invalidate_caches
from pathlib import Path
from types import ModuleType
from typing import cast

from misstep.harness.checkers.registry import BUILT_IN
from misstep.harness.checkers.verdict import Checker
from misstep.harness.choreography.words import Choreography
from misstep.harness.errors import ChoreographyError, Problem


def checkers_of(choreography: Choreography) -> tuple[Checker, ...]:
    """Return who judges the runs of a choreography: all that are built in, then those it names.

    Raises:
        ChoreographyError: One that it names cannot be imported, or is no function.
    """
    own = (_find(choreography, at, name) for at, name in enumerate(choreography.checkers))
    return (*BUILT_IN, *own)


def _find(choreography: Choreography, at: int, name: str) -> Checker:
    module_name, _, function = name.partition(":")
    folder = choreography.folder.absolute()

    def problem(expected: str, hint: str = "") -> ChoreographyError:
        told = Problem(f"choreography.checkers[{at}]", repr(name), expected, hint)
        return ChoreographyError(str(folder / choreography.source), [told])

    try:
        module = _imported(module_name, str(folder))
    except Exception as error:  # it is the user's code, and may fail in any way
        why = f"{type(error).__name__}: {error}"
        hint = f"modules are looked for in {folder} first"
        raise problem(f"module:function of a module that can be imported, but: {why}", hint) from error
    file = folder.joinpath(*module_name.split("."))
    mine = [each for each in (file.with_suffix(".py"), file / "__init__.py") if each.is_file()]
    if mine and Path(module.__file__ or "").resolve() not in [each.resolve() for each in mine]:
        raise problem("a module by a name of its own", f"{module.__file__ or 'a module of Python'} is called so, too")
    found = getattr(module, function, None)
    if not callable(found):
        known = ", ".join(key for key, value in vars(module).items() if callable(value) and key[0] != "_") or "none"
        raise problem(f"module:function, a function Case -> Verdict in {module.__file__}", f"it has {known}")
    return cast(Checker, found)


def _imported(module: str, folder: str) -> ModuleType:
    """Import a module with the choreography's folder first on the path, and leave the path as it was."""
    if module in sys.modules:
        return sys.modules[module]
    invalidate_caches()  # the file may be younger than what Python remembers of the folder
    sys.path.insert(0, folder)
    try:
        return import_module(module)
    finally:
        sys.path.remove(folder)
