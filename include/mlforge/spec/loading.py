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
        for key, column in dataset.source.named_columns.items():
            require_column(contract, column, f"datasets.{name}.source.{key}")
        use_case._contracts[name] = contract
    queries = [file for dataset in use_case.datasets.values() for file in dataset.source.files]
    needed = [use_case.training.spine, "model.py", *(f"features/{view}.sql" for view in use_case.features), *queries]
    missing = [file for file in needed if not (folder / file).is_file()]
    if missing:
        raise SpecError(f"the file {missing[0]} is missing", where=str(path), hint=f"write {folder / missing[0]}")
    return use_case


def _explain(error: ValidationError, path: Path) -> SpecError:
    first = error.errors()[0]
    tagged = [str(part) for part in first["loc"]]
    place = [part for number, part in enumerate(tagged) if not _is_tag(UseCase, tagged[:number], part)]
    key = ".".join(place)
    rest = error.error_count() - 1
    more = f" (and {rest} more)" if rest else ""
    if first["type"] == "extra_forbidden":
        valid = _valid_keys(UseCase, tagged[:-1])
        near = difflib.get_close_matches(place[-1], valid, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"valid keys: {', '.join(sorted(valid))}"
        return SpecError(f"unknown key `{key}`{more}", where=str(path), hint=hint)
    if first["type"] == "missing":
        return SpecError(f"the key `{key}` is missing{more}", where=str(path), hint="add it")
    # What a rule over several keys says names them itself.
    what = f"`{key}`: {first['msg']}" if key else first["msg"].removeprefix("Value error, ")
    return SpecError(f"{what}{more}", where=str(path), hint="correct the value")


def _is_tag(model: type[BaseModel], place: list[str], part: str) -> bool:
    """Return whether the part behind a place is no key of the file, but pydantic's name for one kind of a union."""
    found = _model_at(model, place)
    return isinstance(found, dict) and part in found


def _valid_keys(model: type[BaseModel], place: list[str]) -> list[str]:
    """Return the keys that are valid at a place below a model."""
    found = _model_at(model, place)
    return list(found.model_fields) if isinstance(found, type) else []


def _model_at(model: type[BaseModel], place: list[str]) -> type[BaseModel] | dict[str, type[BaseModel]] | None:
    """Return the model at a place below a model; where kinds are told apart by a key, the model of each kind."""
    if not place:
        return model
    field = model.model_fields.get(place[0])
    annotation: Any = field.annotation if field else None
    kinds = _kinds(annotation)
    if kinds:
        if len(place) == 1:
            return kinds
        return _model_at(kinds[place[1]], place[2:]) if place[1] in kinds else None
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            skip = 1 if candidate is annotation or type(None) in get_args(annotation) else 2
            return _model_at(candidate, place[skip:])
    return None


def _kinds(annotation: object) -> dict[str, type[BaseModel]]:
    """Return the models of a union by the value of their key `kind`."""
    models = [candidate for candidate in _members(annotation) if isinstance(candidate, type)]
    return {
        get_args(candidate.model_fields["kind"].annotation)[0]: candidate
        for candidate in models
        if issubclass(candidate, BaseModel) and "kind" in candidate.model_fields
    }


def _members(annotation: object) -> list[object]:
    """Return what a union or an annotated type is made of, flat."""
    inner = get_args(annotation)
    return [member for part in inner for member in (_members(part) or [part])]
