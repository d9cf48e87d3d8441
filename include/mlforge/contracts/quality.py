"""The standard's `quality` entries → rules.

| entry | checked as |
|---|---|
| `metric` or `SELECT COUNT(*) FROM ${table} WHERE …`, no row allowed | each row; those that break it are set aside |
| the same with another bound | a bound on each partition; `unit: percent` is a share of its rows |
| `type: sql` with any other query | its one figure in each partition against the bound |
| `type: custom`, `engine: greatExpectations` | that expectation on each partition |
| `type: text` | nothing: the standard means it for people |
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from mlforge.contracts.rules import OPERATORS, Bound, Rule, Severity
from mlforge.contracts.sqltext import literal, name, names, typed
from mlforge.errors import SpecError
from mlforge.spec import Column, Contract

_METRICS = ("nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount")
_SEVERITIES: dict[str, Severity] = {"error": "error", "warning": "warning", "info": "info"}
_ABOUT = {
    "id", "name", "description", "dimension", "businessImpact", "tags", "severity", "type", "unit", "method",
    "scheduler", "schedule", "authoritativeDefinitions",
}  # fmt: skip
_TAKES = {
    "library": {"metric", "rule", "arguments", *OPERATORS},
    "sql": {"query", "arguments", *OPERATORS},
    "custom": {"engine", "implementation"},
}
_GREAT_EXPECTATIONS = {"greatexpectations", "gx"}
_TABLE = re.compile(r"\$?\{(?:table|object)\}")
_COLUMN = re.compile(r"\$?\{(?:column|property)\}")
_COUNT = re.compile(
    r"\s*SELECT\s+COUNT\(\s*\*\s*\)\s+FROM\s+\$?\{(?:table|object)\}\s+WHERE\s+(.+?)[;\s]*", re.I | re.S
)
# In a condition they mean that rows cannot be asked one by one.
_BEYOND_ROWS = re.compile(r"\b(GROUP\s+BY|HAVING|UNION|INTERSECT|EXCEPT|ORDER\s+BY|LIMIT|OFFSET|FETCH)\b", re.I)


def quality_rules(quality: Mapping[str, Any], column: Column | None, contract: Contract) -> Iterator[Rule]:
    """Give the rule of one entry under `quality`; none for one that is text for people.

    Args:
        quality: The entry as written.
        column: The column below which it is written; none for one of the whole dataset.
        contract: The contract.

    Raises:
        SpecError: It cannot be checked.
    """
    metric = quality.get("metric") or quality.get("rule")
    kind = str(quality.get("type") or "library")
    if kind == "text":
        return
    entry = _Entry(quality, column, contract, _entry_name(quality, column, metric or kind))
    if kind not in _TAKES:
        near = difflib.get_close_matches(kind, [*_TAKES, "text"], n=1)
        raise entry.unclear(
            f"is of type {kind!r}, which cannot be checked", f"use {near[0] if near else 'metric, sql'}"
        )
    unknown = set(quality) - _ABOUT - _TAKES[kind]
    if unknown:
        raise entry.unclear(f"is {kind} with {sorted(unknown)}, which cannot be checked", "leave it out")
    if kind == "custom":
        yield _custom(entry)
    elif kind == "sql":
        yield _sql(entry)
    else:
        yield _library(entry, str(metric))


def _entry_name(quality: Mapping[str, Any], column: Column | None, kind: str) -> str:
    return str(quality.get("name") or quality.get("id") or ".".join([column.name, kind] if column else [kind]))


class _Entry:
    """One entry under `quality`, with what its kinds have in common."""

    def __init__(self, quality: Mapping[str, Any], column: Column | None, contract: Contract, name: str) -> None:
        self.quality = quality
        self.contract = contract
        self.name = name
        self.arguments = dict(quality.get("arguments") or {})
        listed = self.arguments.pop("properties", None)
        self.columns = tuple(map(str, listed or ([column.name] if column else [])))
        self.column = column
        self.unit = str(quality.get("unit", "rows"))

    @property
    def severity(self) -> Severity:
        """How much it matters."""
        severity = _SEVERITIES.get(str(self.quality.get("severity", "error")))
        if severity is None:
            raise self.unclear(f"has the severity {self.quality['severity']!r}", "use error, warning or info")
        return severity

    @property
    def common(self) -> dict[str, Any]:
        """What every rule says of itself."""
        return {
            "severity": self.severity,
            "columns": self.columns,
            "description": " ".join(str(self.quality.get("description") or "").split()),
        }

    def unclear(self, what: str, hint: str) -> SpecError:
        """Return the error that says what is wrong with the entry."""
        return SpecError(f"the rule {self.name!r} {what}", where=str(self.contract.path), hint=hint)

    def bound(self, unit: str) -> Bound:
        """Return what the figure must be."""
        present = [operator for operator in OPERATORS if operator in self.quality]
        if len(present) != 1:
            raise self.unclear(f"has {len(present)} bounds instead of one", f"use one of {list(OPERATORS)}")
        value = self.quality[present[0]]
        values = tuple(value) if isinstance(value, list) else (value,)
        if not all(isinstance(item, int | float) for item in values) or len(values) != 1 + ("Between" in present[0]):
            raise self.unclear(f"has the bound {value!r}", "use a number, or two for a range")
        return Bound(present[0], values, unit)

    def of_rows(self, broken: str) -> Rule:
        """Return the rule on the number or the share of rows for which a condition holds."""
        if self.unit not in {"rows", "percent"}:
            raise self.unclear(f"has the unit {self.unit!r}", "use rows or percent")
        bound = self.bound("rows" if self.unit == "rows" else "%")
        if bound.forbids_rows:
            return Rule(self.name, "row", broken=broken, **self.common)
        count = f"count(*) FILTER (WHERE {broken})"
        aggregate = count if self.unit == "rows" else f"100.0 * {count} / nullif(count(*), 0)"
        return Rule(self.name, "partition", bound=bound, aggregate=aggregate, **self.common)

    def one_column(self) -> Column:
        """Return the only column that it speaks of."""
        if len(self.columns) != 1:
            raise self.unclear(f"speaks of {len(self.columns)} columns", "write it below one column")
        return next(column for column in self.contract.columns if column.name == self.columns[0])


def _library(entry: _Entry, metric: str) -> Rule:
    if metric not in _METRICS:
        near = difflib.get_close_matches(metric, _METRICS, n=1)
        raise entry.unclear(
            f"is the metric {metric!r}, which there is not",
            f"did you mean {near[0]}?" if near else f"use one of {', '.join(_METRICS)}",
        )
    if metric == "rowCount":
        if entry.unit != "rows" or entry.arguments:
            raise entry.unclear(f"counts rows with the unit {entry.unit!r}", "use rows, without arguments")
        return Rule(entry.name, "partition", bound=entry.bound("rows"), aggregate="count(*)", **entry.common)
    if metric == "duplicateValues":
        return _duplicates(entry)
    return entry.of_rows(_metric_condition(entry, metric))


def _duplicates(entry: _Entry) -> Rule:
    if not entry.columns or entry.arguments:
        raise entry.unclear("names no column", "list them in arguments.properties")
    if entry.unit not in {"rows", "percent"}:
        raise entry.unclear(f"has the unit {entry.unit!r}", "use rows or percent")
    bound = entry.bound("rows" if entry.unit == "rows" else "%")
    if bound.forbids_rows:
        arguments = {"column_list": ["partition_key", *entry.columns], "ignore_row_if": "any_value_is_missing"}
        return Rule(
            entry.name,
            "row",
            unique=entry.columns,
            expectation="ExpectCompoundColumnsToBeUnique",
            arguments=arguments,
            **entry.common,
        )
    whole = " AND ".join(f"{name(column)} IS NOT NULL" for column in entry.columns)
    count = f"count(*) FILTER (WHERE {whole}) - count(DISTINCT ({names(entry.columns)})) FILTER (WHERE {whole})"
    aggregate = count if entry.unit == "rows" else f"100.0 * ({count}) / nullif(count(*), 0)"
    return Rule(entry.name, "partition", bound=bound, aggregate=aggregate, **entry.common)


def _metric_condition(entry: _Entry, metric: str) -> str:
    column = entry.one_column()
    place, arguments = name(column.name), entry.arguments
    if metric == "nullValues" and not arguments:
        return f"{place} IS NULL"
    if metric == "missingValues" and set(arguments) == {"missingValues"}:
        texts = [literal(str(value)) for value in arguments["missingValues"] if value is not None]
        null = [f"{place} IS NULL"] if None in arguments["missingValues"] else []
        return " OR ".join([*null, *(f"{place}::text = {text}" for text in texts)]) or "false"
    if metric == "invalidValues" and arguments and set(arguments) <= {"validValues", "pattern"}:
        parts = []
        if "validValues" in arguments:
            parts.append(f"{place} NOT IN ({', '.join(typed(column, value) for value in arguments['validValues'])})")
        if "pattern" in arguments:
            parts.append(f"{place}::text !~ {literal(arguments['pattern'])}")
        return " OR ".join(parts)
    raise entry.unclear(
        f"is the metric {metric!r} with the arguments {sorted(arguments)}",
        "nullValues takes none, missingValues `missingValues`, invalidValues `validValues` or `pattern`",
    )


def _sql(entry: _Entry) -> Rule:
    query = str(entry.quality.get("query") or "")
    if not _TABLE.search(query):
        raise entry.unclear("has a query that asks no ${table}", "write FROM ${table}")
    if _COLUMN.search(query):
        if len(entry.columns) != 1:
            raise entry.unclear("has ${column} in its query, but is not below a column", "name the column itself")
        query = _COLUMN.sub(lambda _: name(entry.columns[0]), query)
    match = _COUNT.fullmatch(query)
    condition = match.group(1) if match else ""
    if match and not _TABLE.search(condition) and not _BEYOND_ROWS.search(condition):
        return entry.of_rows(condition)
    bound = entry.bound({"rows": "", "percent": "%"}.get(entry.unit, entry.unit))
    query = _TABLE.sub("${table}", query).strip().rstrip(";")
    return Rule(entry.name, "partition", bound=bound, query=query, **entry.common)


def _custom(entry: _Entry) -> Rule:
    engine = str(entry.quality.get("engine") or "")
    if re.sub(r"[^a-z]", "", engine.lower()) not in _GREAT_EXPECTATIONS:
        raise entry.unclear(
            f"is for the engine {engine!r}, which does not run here",
            "use greatExpectations, or write it as `type: sql`",
        )
    kind, arguments = _implementation(entry)
    given = {re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", str(key)).lower(): value for key, value in arguments.items()}
    if entry.columns and "column" not in given and "column_list" not in given:
        given["column"] = entry.columns[0]
    named = "".join(part[:1].upper() + part[1:] for part in kind.split("_"))
    return Rule(entry.name, "partition", bound=Bound("mustBe", (True,)), custom=named, arguments=given, **entry.common)


def _implementation(entry: _Entry) -> tuple[str, dict[str, Any]]:
    """Return the expectation's name and arguments."""
    written = entry.quality.get("implementation")
    try:
        wanted = yaml.safe_load(written) if isinstance(written, str) else written
    except yaml.YAMLError as error:
        message = " ".join(str(error).split())
        raise entry.unclear(f"has an implementation that is no YAML: {message}", "correct it") from error
    if isinstance(wanted, dict) and not set(wanted) - {"type", "expectation_type", "kwargs", "meta"}:
        kind, arguments = wanted.get("type") or wanted.get("expectation_type"), wanted.get("kwargs") or {}
        if isinstance(kind, str) and isinstance(arguments, dict):
            return kind, arguments
    raise entry.unclear("has an implementation that names no expectation", "write `type: expect_…` and `kwargs`")
