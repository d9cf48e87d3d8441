"""A use case's `model.py`: the plain functions that training, serving and monitoring call."""

from __future__ import annotations

import difflib
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from mlforge.errors import SpecError
from mlforge.python_files import import_file
from mlforge.spec.use_case import UseCase

# What the modules are called; the use case's folder follows.
MODULE_PREFIX = "mlforge_model_"
_FUNCTIONS = ("build_model", "label", "derive")


def load_model_module(use_case: UseCase) -> ModuleType:
    """Return the module of a use case's `model.py`.

    Raises:
        SpecError: It cannot be imported, or a function that the stages call is missing.
    """
    module = read_model_module(use_case.folder / "model.py")
    # A model file names the classes of model.py by their module; of two folders of one name the last one asked counts.
    sys.modules[module.__name__] = module
    return module


def model_function(use_case: UseCase, name: str) -> Callable[..., Any]:
    """Return a function of `model.py` that `use_case.yaml` names.

    Raises:
        SpecError: There is none, or `model.py` cannot be imported.
    """
    module = load_model_module(use_case)
    function = getattr(module, name, None)
    if not callable(function):
        there = [each for each, value in vars(module).items() if callable(value) and not each.startswith("_")]
        near = difflib.get_close_matches(name, there, n=1)
        raise SpecError(
            f"use_case.yaml names the function {name!r}, which is missing",
            where=str(use_case.folder / "model.py"),
            hint=f"did you mean {near[0]!r}?" if near else "write it, or remove the name",
        )
    return cast("Callable[..., Any]", function)


@functools.cache
def read_model_module(path: Path) -> ModuleType:
    """Return the module in a file, imported once per process under a name of its own.

    Raises:
        SpecError: It cannot be imported, or a function that the stages call is missing.
    """
    name = f"mlforge_model_{path.parent.name}"
    module = import_file(path, name, error=SpecError, hint="write it, see the guide")
    missing = [name for name in _FUNCTIONS if not callable(getattr(module, name, None))]
    if missing:
        raise SpecError(f"the function `{missing[0]}` is missing", where=str(path), hint="write it, see the guide")
    return module
