"""Reading a use case's folder: one error that names file, key and the nearest valid name."""

from __future__ import annotations

import difflib
import functools
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from mlforge.errors import SpecError
from mlforge.settings import get_settings
from mlforge.spec.contract import load_contract, require_column
from mlforge.spec.use_case import UseCase


def list_use_cases() -> list[str]:
    """Return the names of the use cases, sorted."""
    return sorted(path.parent.name for path in get_settings().use_cases_dir.glob("*/use_case.yaml"))


@functools.cache
def load_use_case(name: str) -> UseCase:
    """Return the use case of that name.

    Raises:
        SpecError: There is no such folder, or something in it is wrong.
    """
    folder = get_settings().use_cases_dir / name
    if not (folder / "use_case.yaml").is_file():
        near = difflib.get_close_matches(name, list_use_cases(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(list_use_cases()) or 'none'}"
        raise SpecError(f"there is no use case {name!r}", where=str(folder / "use_case.yaml"), hint=hint)
    return read_use_case(folder)


def read_use_case(folder: Path) -> UseCase:
    """Return the use case in a folder, with its contracts.

    Raises:
        SpecError: Something in it is wrong; the message names file, key and the nearest valid name.
    """
    path = folder / "use_case.yaml"
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        use_case = UseCase.model_validate(document)
    except yaml.YAMLError as error:
        raise SpecError(f"no YAML: {' '.join(str(error).split())}", where=str(path)) from error
    except ValidationError as error:
        raise _explain(error, path) from error
    if use_case.name != folder.name:
        raise SpecError(
            f"`name` is {use_case.name!r}, the folder is {folder.name!r}", where=str(path), hint="make them equal"
        )
    use_case._folder = folder
    for name, dataset in use_case.datasets.items():
        contract = load_contract(folder / dataset.contract)
        if dataset.source.partition_column is not None:
            require_column(contract, dataset.source.partition_column, f"datasets.{name}.source.partition_column")
        use_case._contracts[name] = contract
    needed = [use_case.training.spine, "model.py", *(f"features/{view}.sql" for view in use_case.features)]
    missing = [file for file in needed if not (folder / file).is_file()]
    if missing:
        raise SpecError(f"the file {missing[0]} is missing", where=str(path), hint=f"write {folder / missing[0]}")
    return use_case


def _explain(error: ValidationError, path: Path) -> SpecError:
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    key = ".".join(place)
    rest = error.error_count() - 1
    more = f" (and {rest} more)" if rest else ""
    if first["type"] == "extra_forbidden":
        valid = _valid_keys(UseCase, place[:-1])
        near = difflib.get_close_matches(place[-1], valid, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"valid keys: {', '.join(sorted(valid))}"
        return SpecError(f"unknown key `{key}`{more}", where=str(path), hint=hint)
    if first["type"] == "missing":
        return SpecError(f"the key `{key}` is missing{more}", where=str(path), hint="add it")
    return SpecError(f"`{key}`: {first['msg']}{more}", where=str(path), hint="correct the value")


def _valid_keys(model: type[BaseModel], place: list[str]) -> list[str]:
    """Return the keys that are valid at a place below a model."""
    if not place:
        return list(model.model_fields)
    field = model.model_fields.get(place[0])
    annotation: Any = field.annotation if field else None
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            skip = 1 if candidate is annotation else 2
            return _valid_keys(candidate, place[skip:])
    return []
