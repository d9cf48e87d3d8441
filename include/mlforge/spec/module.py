"""A use case's `model.py`: the plain functions that training, serving and monitoring call."""

from __future__ import annotations

import functools
from pathlib import Path
from types import ModuleType

from mlforge.errors import SpecError
from mlforge.python_files import import_file
from mlforge.spec.use_case import UseCase

_FUNCTIONS = ("build_model", "label", "derive")


def load_model_module(use_case: UseCase) -> ModuleType:
    """Return the module of a use case's `model.py`.

    Raises:
        SpecError: It cannot be imported, or a function that the stages call is missing.
    """
    return read_model_module(use_case.folder / "model.py")


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
