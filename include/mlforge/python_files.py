"""Python files that a person writes, imported from where they lie."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from mlforge.errors import MLForgeError


def import_file(path: Path, name: str, *, error: type[MLForgeError], hint: str) -> ModuleType:
    """Return the module in a file, imported anew.

    Args:
        path: The file.
        name: Of the module.
        error: What is raised.
        hint: What to do when there is no such file.

    Raises:
        MLForgeError: There is no such file, or it cannot be imported; of the class that was asked for.
    """
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise error("the file is missing", where=str(path), hint=hint)
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as failure:
        raise error(f"cannot be imported: {failure!r}", where=str(path), hint="correct the module") from failure
    return module
