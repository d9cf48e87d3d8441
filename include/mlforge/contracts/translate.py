"""Open Data Contract Standard → Great Expectations. What cannot be translated is an error, never skipped.

| in the contract | checked as |
|---|---|
| `required`, `primaryKey` | not null |
| `unique`, the primary key | unique within a partition |
| `logicalTypeOptions` | range, length, pattern, multiple |
| `enum` | allowed values |
| quality, `metric` or `type: sql`, `mustBe: 0` | no row for which the condition holds; such rows are set aside |
| quality with another bound | a bound on each partition; `unit: percent` is a share of its rows |
| quality `type: text` | nothing: the standard means it for people |

An SQL rule is written `SELECT COUNT(*) FROM ${table} WHERE <condition>`, so that the rows can be found.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from psycopg import sql

from mlforge.contracts.rules import Rule, Severity
from mlforge.contracts.staging import ROW_ID
from mlforge.errors import SpecError
from mlforge.spec import Column, Contract

_OPERATORS = {
    "mustBe": "= {0}",
    "mustNotBe": "<> {0}",
    "mustBeGreaterThan": "> {0}",
    "mustBeGreaterOrEqualTo": ">= {0}",
    "mustBeLessThan": "< {0}",
    "mustBeLessOrEqualTo": "<= {0}",
    "mustBeBetween": "BETWEEN {0} AND {1}",
    "mustNotBeBetween": "NOT BETWEEN {0} AND {1}",
}
_SEVERITIES: dict[str, Severity] = {"error": "error", "warning": "warning", "info": "warning"}
_COUNT = re.compile(r"\s*SELECT\s+COUNT\(\*\)\s+FROM\s+\$?\{(?:table|object)\}\s+WHERE\s+(.+?)[;\s]*", re.I | re.S)
_ABOUT = {"id", "name", "description", "dimension", "businessImpact", "tags", "severity", "type", "unit"}
# Limit → how a value that breaks it compares.
_LIMITS = {"minimum": "<", "maximum": ">", "exclusiveMinimum": "<=", "exclusiveMaximum": ">="}
_IGNORED_OPTIONS = {"timezone", "defaultTimezone"}  # the cast to the contract's types has settled them


def translate(contract: Contract) -> list[Rule]:
    """Return the rules of a contract.

    Raises:
        SpecError: A rule is of a kind, or has an argument, that cannot be checked.
    """
    rules = [rule for column in contract.columns for rule in _column_rules(column, contract)]
    if contract.key:
        rules.append(_unique("key", contract.key))
    for quality in contract.quality:
        rules += _quality_rules(quality, None, contract)
    for name in ("event_timestamp", "known_at"):
        rules.append(_required(name))
    twice = [name for name, count in Counter(rule.name for rule in rules).items() if count > 1]
    if twice:
        raise SpecError(f"two rules are named {twice[0]!r}", where=str(contract.path), hint="name them differently")
    return rules


def _column_rules(column: Column, contract: Contract) -> Iterator[Rule]:
    if column.required or column.key_position is not None:
        yield _required(column.name)
    if column.unique:
        yield _unique(column.name, [column.name])
    if column.allowed:
        broken = f"{_name(column.name)} NOT IN ({', '.join(map(_literal, column.allowed))})"
        value_set = {"value_set": list(column.allowed)}
        yield _native(column.name, "allowed", "ExpectColumnValuesToBeInSet", value_set, broken)
    yield from _option_rules(column, contract)
    for quality in column.quality:
        yield from _quality_rules(quality, column.name, contract)


def _option_rules(column: Column, contract: Contract) -> Iterator[Rule]:
    options = {name: value for name, value in column.options.items() if name not in _IGNORED_OPTIONS}
    limits = {name: options.pop(name) for name in _LIMITS if name in options}
    if limits:
        yield _range(column, limits)
    lengths = {name: options.pop(name) for name in ("minLength", "maxLength") if name in options}
    if lengths:
        shortest, longest = lengths.get("minLength"), lengths.get("maxLength")
        bounds = {"min_value": shortest, "max_value": longest}
        size = f"char_length({_name(column.name)})"
        parts = [f"{size} {sign} {_literal(n)}" for sign, n in (("<", shortest), (">", longest)) if n is not None]
        yield _native(column.name, "length", "ExpectColumnValueLengthsToBeBetween", bounds, " OR ".join(parts))
    if "pattern" in options:
        regex = options.pop("pattern")
        broken = f"{_name(column.name)} !~ {_literal(regex)}"
        yield _native(column.name, "pattern", "ExpectColumnValuesToMatchRegex", {"regex": regex}, broken)
    if "multipleOf" in options:
        divisor = _literal(options.pop("multipleOf"))
        broken = f"{_name(column.name)}::numeric % {divisor} <> 0"
        yield row_rule(f"{column.name}.multiple", "error", broken, (column.name,))
    if options:
        raise SpecError(
            f"the column {column.name!r} has the logicalTypeOptions {sorted(options)}, which cannot be checked",
            where=str(contract.path),
            hint=f"use {', '.join(_LIMITS)}, minLength, maxLength, pattern, multipleOf",
        )


def _range(column: Column, limits: Mapping[str, Any]) -> Rule:
    moment = column.logical_type in {"date", "timestamp"}
    values = {k: f"{_literal(str(v))}::{column.sql_type}" if moment else _literal(v) for k, v in limits.items()}
    broken = " OR ".join(f"{_name(column.name)} {_LIMITS[k]} {value}" for k, value in values.items())
    if moment:
        return row_rule(f"{column.name}.range", "error", broken, (column.name,))
    bounds = {
        "min_value": limits.get("minimum", limits.get("exclusiveMinimum")),
        "max_value": limits.get("maximum", limits.get("exclusiveMaximum")),
        "strict_min": "exclusiveMinimum" in limits,
        "strict_max": "exclusiveMaximum" in limits,
    }
    return _native(column.name, "range", "ExpectColumnValuesToBeBetween", bounds, broken)


def _quality_rules(quality: Mapping[str, Any], column: str | None, contract: Contract) -> Iterator[Rule]:
    """Give the rule of one entry under `quality`; none for one that is text for people."""
    metric = quality.get("metric") or quality.get("rule")
    kind = quality.get("type") or ("library" if metric else None)
    name = str(quality.get("name") or ".".join(part for part in (column, str(metric)) if part))
    if kind == "text":
        return
    unknown = set(quality) - _ABOUT - set(_OPERATORS) - {"metric", "rule", "arguments", "query"}
    if kind not in {"library", "sql"} or unknown:
        about = f"with {sorted(unknown)}" if unknown else f"of type {kind!r}"
        raise _unclear(name, contract, f"is {about}, which cannot be checked", "use `metric`, or `type: sql`")
    severity = _SEVERITIES.get(str(quality.get("severity", "error")))
    if severity is None:
        raise _unclear(name, contract, f"has the severity {quality['severity']!r}", "use error, warning or info")
    columns = (quality.get("arguments") or {}).get("properties") or ([column] if column else [])
    if kind == "sql":
        condition = _sql_condition(quality, column, name, contract)
    elif metric == "rowCount":
        condition = None
    elif metric == "duplicateValues":
        yield _duplicates(quality, columns, name, severity, contract)
        return
    else:
        condition = _metric_condition(str(metric), quality, columns, name, contract)
    yield _bounded(quality, condition, tuple(columns), name, severity, contract)


def _bounded(
    quality: Mapping[str, Any],
    condition: str | None,
    columns: tuple[str, ...],
    name: str,
    severity: Severity,
    contract: Contract,
) -> Rule:
    """Return a rule on the number of rows for which a condition holds, or of all rows without one."""
    operator, values = _operator(quality, name, contract)
    if condition is not None and operator == "mustBe" and values == [0]:
        return row_rule(name, severity, condition, columns)
    aggregate = "count(*)" if condition is None else f"count(*) FILTER (WHERE {condition})"
    unit = quality.get("unit", "rows")
    if unit == "percent" and condition is not None:
        aggregate = f"(100.0 * {aggregate} / count(*))"
    elif unit != "rows":
        raise _unclear(name, contract, f"has the unit {unit!r}", "use rows or percent")
    return _partition_rule(name, severity, aggregate, operator, values, columns)


def _duplicates(
    quality: Mapping[str, Any], columns: Sequence[str], name: str, severity: Severity, contract: Contract
) -> Rule:
    if not columns:
        raise _unclear(name, contract, "names no column", "list them in arguments.properties")
    operator, values = _operator(quality, name, contract)
    if operator == "mustBe" and values == [0]:
        return _unique(name, columns, severity, suffix="")
    if quality.get("unit", "rows") != "rows":
        raise _unclear(name, contract, f"has the unit {quality['unit']!r}", "use rows")
    distinct = f"count(*) - count(DISTINCT ({', '.join(map(_name, columns))}))"
    return _partition_rule(name, severity, distinct, operator, values, tuple(columns))


def _sql_condition(quality: Mapping[str, Any], column: str | None, name: str, contract: Contract) -> str:
    query = str(quality.get("query", ""))
    match = _COUNT.fullmatch(query)
    if match is None:
        hint = "write it as SELECT COUNT(*) FROM ${table} WHERE <condition>"
        raise _unclear(name, contract, "has a query whose rows cannot be found", hint)
    condition = match.group(1)
    for place in ("${column}", "${property}"):
        condition = condition.replace(place, _name(column) if column else place)
    return condition


def _metric_condition(
    metric: str, quality: Mapping[str, Any], columns: Sequence[str], name: str, contract: Contract
) -> str:
    if len(columns) != 1:
        raise _unclear(name, contract, f"speaks of {len(columns)} columns", "write it below one column")
    column = _name(columns[0])
    arguments = {key: value for key, value in (quality.get("arguments") or {}).items() if key != "properties"}
    if metric == "nullValues" and not arguments:
        return f"{column} IS NULL"
    if metric == "missingValues" and set(arguments) == {"missingValues"}:
        texts = [_literal(str(value)) for value in arguments["missingValues"] if value is not None]
        return " OR ".join([f"{column} IS NULL", *(f"{column}::text = {text}" for text in texts)])
    if metric == "invalidValues" and set(arguments) == {"validValues"}:
        return f"{column} NOT IN ({', '.join(map(_literal, arguments['validValues']))})"
    if metric == "invalidValues" and set(arguments) == {"pattern"}:
        return f"{column}::text !~ {_literal(arguments['pattern'])}"
    raise _unclear(
        name,
        contract,
        f"is the metric {metric!r} with the arguments {sorted(arguments)}",
        "use nullValues, missingValues, invalidValues (validValues or pattern), duplicateValues or rowCount",
    )


def _operator(quality: Mapping[str, Any], name: str, contract: Contract) -> tuple[str, list[float]]:
    present = [operator for operator in _OPERATORS if operator in quality]
    if len(present) != 1:
        raise _unclear(name, contract, f"has {len(present)} bounds instead of one", f"use one of {list(_OPERATORS)}")
    value = quality[present[0]]
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(item, int | float) and not isinstance(item, bool) for item in values):
        raise _unclear(name, contract, f"has the bound {value!r}", "use a number")
    return present[0], values


def _required(column: str) -> Rule:
    return _native(column, "required", "ExpectColumnValuesToNotBeNull", {}, f"{_name(column)} IS NULL")


def _native(column: str, kind: str, expectation: str, arguments: dict[str, Any], broken: str) -> Rule:
    given = {name: value for name, value in arguments.items() if value is not None and value is not False}
    return Rule(f"{column}.{kind}", "row", "error", expectation, {"column": column, **given}, (column,), broken)


def _unique(name: str, columns: Sequence[str], severity: Severity = "error", *, suffix: str = ".unique") -> Rule:
    """Return the rule that columns are unique within a partition; missing values are equal to nothing."""
    arguments = {"column_list": ["partition_key", *columns], "ignore_row_if": "any_value_is_missing"}
    return Rule(f"{name}{suffix}", "row", severity, "ExpectCompoundColumnsToBeUnique", arguments, tuple(columns))


def row_rule(name: str, severity: Severity, broken: str, columns: tuple[str, ...]) -> Rule:
    """Return the rule that an SQL condition holds for no row."""
    # A contract's SQL is its author's own; values from elsewhere are quoted.
    query = f"SELECT {ROW_ID} FROM {{batch}} WHERE {_escape(broken)}"  # noqa: S608
    arguments = {"unexpected_rows_query": query}
    return Rule(name, "row", severity, "UnexpectedRowsExpectation", arguments, columns, broken)


def _partition_rule(
    name: str, severity: Severity, aggregate: str, operator: str, values: Sequence[float], columns: tuple[str, ...]
) -> Rule:
    bound = _OPERATORS[operator].format(*map(_literal, values))
    query = (
        f"SELECT partition_key, {_escape(aggregate)} AS observed FROM {{batch}}"  # noqa: S608
        f" GROUP BY partition_key HAVING NOT coalesce({_escape(aggregate)} {bound}, false)"
    )
    return Rule(name, "partition", severity, "UnexpectedRowsExpectation", {"unexpected_rows_query": query}, columns)


def _escape(text: str) -> str:
    """Return SQL in which neither braces nor colons are read as placeholders."""
    return re.sub(r"(?<![:\w\\]):(?=\w+(?!:))", r"\:", text.replace("{", "{{").replace("}", "}}"))


def _name(column: str) -> str:
    return sql.Identifier(column).as_string(None)


def _literal(value: Any) -> str:
    return sql.Literal(value).as_string(None)


def _unclear(name: str, contract: Contract, what: str, hint: str) -> SpecError:
    return SpecError(f"the rule {name!r} {what}", where=str(contract.path), hint=hint)
