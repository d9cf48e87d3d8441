"""Data contracts: Open Data Contract Standard v3, as far as every stage needs them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from mlforge.errors import SpecError

if TYPE_CHECKING:
    import pyarrow as pa

# ODCS logical type → PostgreSQL type; `physicalType` refines integers.
_SQL_TYPES = {
    "string": "text",
    "integer": "bigint",
    "number": "double precision",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamptz",
    "time": "time without time zone",
}
_NESTED = {"object", "array", "map", "vector"}
# Values of ODCS `classification` for data about persons, or otherwise secret.
_PERSONAL = {"personal", "pii", "sensitive", "restricted", "confidential", "secret"}
_INTEGER_TYPES = {"smallint": "smallint", "integer": "integer", "int": "integer", "bigint": "bigint"}


@dataclass(frozen=True)
class Column:
    """A column of a contract.

    Attributes:
        sql_type: Its type in PostgreSQL.
        key_position: Its place in the primary key, from 1; None if it is no key.
        options: ODCS `logicalTypeOptions`: minimum, maximum, pattern and the like.
        allowed: ODCS `enum`: the values that there may be; empty if any may.
        classification: ODCS `classification`, such as `public` or `restricted`; empty if none is given.
        quality: ODCS quality rules of the column, as written.
    """

    name: str
    logical_type: str
    sql_type: str
    required: bool
    unique: bool
    key_position: int | None
    description: str
    options: dict[str, Any] = field(default_factory=dict)
    quality: tuple[dict[str, Any], ...] = ()
    allowed: tuple[Any, ...] = ()
    classification: str = ""

    @property
    def personal(self) -> bool:
        """Whether single values are nobody's business: profiles and examples do not show them."""
        return self.classification.lower() in _PERSONAL

    @property
    def arrow_type(self) -> pa.DataType:
        """The exact Arrow type that a bulk load into `sql_type` needs; times are UTC, in microseconds."""
        import pyarrow as pa

        types: dict[str, pa.DataType] = {
            "text": pa.string(),
            "bigint": pa.int64(),
            "integer": pa.int32(),
            "smallint": pa.int16(),
            "double precision": pa.float64(),
            "boolean": pa.bool_(),
            "date": pa.date32(),
            "time without time zone": pa.time64("us"),
            "timestamptz": pa.timestamp("us", tz="UTC"),
        }
        return types[self.sql_type]


@dataclass(frozen=True)
class Contract:
    """A dataset's contract: its columns in order, and the rules that span columns or rows.

    Attributes:
        path: The file.
        version: The contract's own version.
        quality: ODCS quality rules of the whole dataset, as written.
    """

    name: str
    version: str
    path: Path
    columns: tuple[Column, ...]
    quality: tuple[dict[str, Any], ...]
    description: str = ""

    @property
    def column_names(self) -> list[str]:
        """Names of the columns, in order."""
        return [column.name for column in self.columns]

    @property
    def key(self) -> list[str]:
        """Columns of the primary key, in order."""
        keyed = [(column.key_position, column.name) for column in self.columns if column.key_position is not None]
        return [name for _, name in sorted(keyed)]


def load_contract(path: Path) -> Contract:
    """Return the contract in a file.

    Raises:
        SpecError: The file is missing, no ODCS v3, has not exactly one schema, or a rule names a column that the
            schema does not have.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpecError(f"the contract {path} does not exist", hint="correct `contract` in use_case.yaml") from None
    return parse_contract(text, path)


def parse_contract(text: str, path: Path) -> Contract:
    """Return the contract in a text, as it may be in a file's earlier version.

    Args:
        text: YAML.
        path: Where it is from, for errors.

    Raises:
        SpecError: As for `load_contract`.
    """
    from open_data_contract_standard.model import OpenDataContractStandard

    try:
        document = yaml.safe_load(text)
        parsed = OpenDataContractStandard.model_validate(document)
    except yaml.YAMLError as error:
        raise SpecError(f"no YAML: {error}", where=str(path)) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SpecError(f"`{place}`: {first['msg']}", where=str(path), hint="see the ODCS v3 schema") from error
    _require_version(document, path)
    schemas = parsed.schema_ or []
    if len(schemas) != 1 or not schemas[0].properties:
        raise SpecError("a contract describes exactly one schema with its properties", where=str(path))
    schema = schemas[0]
    _require_known_keys(document["schema"][0], schema, path)
    columns = tuple(_column(item.model_dump(exclude_none=True), path) for item in schema.properties)
    quality = tuple(rule.model_dump(exclude_none=True) for rule in schema.quality or [])
    contract = Contract(
        name=str(schema.name),
        version=str(parsed.version),
        path=path,
        columns=columns,
        quality=quality,
        description=str(schema.description or ""),
    )
    _check_named_columns(contract)
    return contract


def _require_version(document: dict[str, Any], path: Path) -> None:
    version = str(document.get("apiVersion", ""))
    if not version.startswith("v3."):
        raise SpecError(
            f"`apiVersion` is {version!r}",
            where=str(path),
            hint="write it as Open Data Contract Standard v3.1.0",
        )


def _require_known_keys(raw: dict[str, Any], schema: Any, path: Path) -> None:
    """Check every key of a schema: a wrong one would silently be no rule."""
    quality = [("quality", entry) for entry in raw.get("quality") or []]
    _require_keys(raw, type(schema), f"schema {raw.get('name')!r}", path)
    for item, parsed in zip(raw["properties"], schema.properties, strict=True):
        _require_keys(item, type(parsed), f"column {item.get('name')!r}", path)
        quality += [(f"column {item.get('name')!r}, quality", entry) for entry in item.get("quality") or []]
    from open_data_contract_standard.model import DataQuality

    for place, entry in quality:
        _require_keys(entry, DataQuality, f"{place} {entry.get('name') or entry.get('metric') or ''}".strip(), path)


def _require_keys(raw: dict[str, Any], model: Any, place: str, path: Path) -> None:
    import difflib

    known = list(model.model_fields)
    unknown = [key for key in raw if key not in known]
    if unknown:
        near = difflib.get_close_matches(str(unknown[0]), known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "see the ODCS v3 schema"
        raise SpecError(f"{place} has the unknown key {unknown[0]!r}", where=str(path), hint=hint)


def _column(item: dict[str, Any], path: Path) -> Column:
    name, logical = str(item.get("name", "")), str(item.get("logicalType", ""))
    if logical in _NESTED or item.keys() & {"properties", "items", "map"}:
        raise SpecError(
            f"column {name!r} is nested ({logical or 'properties'}), which no table here can hold",
            where=str(path),
            hint="write its parts as columns of their own, and flatten them in the source",
        )
    if str(item.get("semanticType", "column")) == "measure":
        raise SpecError(
            f"{name!r} is a measure, not a column", where=str(path), hint="compute it in a feature view instead"
        )
    if str(item.get("physicalName", name)) != name:
        raise SpecError(
            f"column {name!r} has another physicalName, {item['physicalName']!r}",
            where=str(path),
            hint="name the column as the source does",
        )
    if logical not in _SQL_TYPES:
        raise SpecError(
            f"column {name!r} has the logicalType {logical!r}", where=str(path), hint=f"use one of {list(_SQL_TYPES)}"
        )
    sql_type = _SQL_TYPES[logical]
    if logical == "integer":
        sql_type = _INTEGER_TYPES.get(str(item.get("physicalType", "bigint")).lower(), "bigint")
    return Column(
        name=name,
        logical_type=logical,
        sql_type=sql_type,
        required=bool(item.get("required", False)),
        unique=bool(item.get("unique", False)),
        key_position=int(item.get("primaryKeyPosition", 1)) if item.get("primaryKey") else None,
        description=str(item.get("description", "")),
        options=dict(item.get("logicalTypeOptions", {})),
        quality=tuple(item.get("quality", [])),
        allowed=tuple(entry["value"] for entry in item.get("enum", [])),
        classification=str(item.get("classification", "")),
    )


def _check_named_columns(contract: Contract) -> None:
    twice = [name for name in contract.column_names if contract.column_names.count(name) > 1]
    if twice:
        raise SpecError(f"two columns are named {twice[0]!r}", where=str(contract.path), hint="name them differently")
    for rule in [*contract.quality, *(rule for column in contract.columns for rule in column.quality)]:
        for name in (rule.get("arguments") or {}).get("properties", []):
            require_column(contract, name, f"the rule {rule.get('name') or rule.get('metric')!r}")


def require_column(contract: Contract, name: str, who: str) -> None:
    """Check that a contract has a column.

    Raises:
        SpecError: It has not; the error names the nearest one.
    """
    import difflib

    if name not in contract.column_names:
        near = difflib.get_close_matches(name, contract.column_names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(contract.column_names)}"
        raise SpecError(f"{who} names the unknown column {name!r}", where=str(contract.path), hint=hint)
