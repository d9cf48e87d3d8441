"""Open Data Contract Standard → rules that can be measured. What cannot be is an error, never skipped.

| in the contract | checked as |
|---|---|
| `required`, `primaryKey` | not null |
| `unique`, the primary key | unique within a partition |
| `logicalTypeOptions` | range, length, pattern, multiple, format |
| `enum` | allowed values |
| `quality` | see `mlforge.contracts.quality` |

Most rules on rows also have a twin among Great Expectations' own expectations; a test compares what both find.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from mlforge.contracts.quality import quality_rules
from mlforge.contracts.rules import Rule
from mlforge.contracts.sqltext import literal, name, typed
from mlforge.errors import SpecError
from mlforge.spec import Column, Contract

# Limit → how a value that breaks it compares.
_LIMITS = {"minimum": "<", "maximum": ">", "exclusiveMinimum": "<=", "exclusiveMaximum": ">="}
_SETTLED = {"timezone", "defaultTimezone"}  # by the cast to the contract's types
_NUMBERS = {"integer", "number"}
_MOMENTS = {"date", "timestamp", "time"}
_FITTING: dict[str, set[str]] = {
    "string": {"minLength", "maxLength", "pattern", "format"},
    "integer": {*_LIMITS, "multipleOf", "format"},
    "number": {*_LIMITS, "multipleOf", "format"},
    "date": {*_LIMITS, "format"},
    "timestamp": {*_LIMITS, *_SETTLED, "format"},
    "time": {*_LIMITS, *_SETTLED, "format"},
    "boolean": set(),
}
_HEXTET = "[0-9A-Fa-f]{1,4}"
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_IPV6 = "|".join([
    f"^(({_HEXTET}:){{7}}{_HEXTET}", f"({_HEXTET}:){{1,7}}:", f":((:{_HEXTET}){{1,7}}|:)",
    *(f"({_HEXTET}:){{1,{n}}}(:{_HEXTET}){{1,{7 - n}}}" for n in range(1, 7)),
]) + ")$"  # fmt: skip
_FORMATS = {
    "email": r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
    "uuid": r"^[0-9A-Fa-f]{8}-([0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}$",
    "uri": r"^[A-Za-z][A-Za-z0-9+.-]*:\S+$",
    "hostname": rf"^(?=.{{1,253}}$)({_LABEL}\.)*{_LABEL}$",
    "ipv4": r"^((25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(\.(?!$)|$)){4}$",
    "ipv6": _IPV6,
    "byte": r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
}
_FOR_PEOPLE = {"password", "binary"}  # they say how to show a value, not what it may be
_BITS = {"8": 8, "16": 16, "32": 32, "64": 64, "128": 128}


def translate(contract: Contract) -> list[Rule]:
    """Return the rules of a contract.

    Raises:
        SpecError: A rule is of a kind, or has an argument, that cannot be checked.
    """
    rules = [rule for column in contract.columns for rule in _column_rules(column, contract)]
    if contract.key:
        rules.append(_unique("key", tuple(contract.key), held=True))
    for quality in contract.quality:
        rules += quality_rules(quality, None, contract)
    rules += [_required(moment) for moment in ("event_timestamp", "known_at")]
    twice = [rule for rule, count in Counter(rule.name for rule in rules).items() if count > 1]
    if twice:
        raise SpecError(f"two rules are named {twice[0]!r}", where=str(contract.path), hint="name them differently")
    return rules


def _column_rules(column: Column, contract: Contract) -> Iterator[Rule]:
    if column.required or column.key_position is not None:
        yield _required(column.name)
    if column.unique:
        yield _unique(column.name, (column.name,))
    if column.allowed:
        broken = f"{name(column.name)} NOT IN ({', '.join(typed(column, value) for value in column.allowed)})"
        value_set = {"value_set": list(column.allowed)}
        yield _native(column.name, "allowed", "ExpectColumnValuesToBeInSet", value_set, broken)
    yield from _option_rules(column, contract)
    for quality in column.quality:
        yield from quality_rules(quality, column, contract)


def _option_rules(column: Column, contract: Contract) -> Iterator[Rule]:
    unknown = set(column.options) - _FITTING[column.logical_type]
    if unknown:
        raise SpecError(
            f"the column {column.name!r} has the logicalTypeOptions {sorted(unknown)}, which cannot be checked",
            where=str(contract.path),
            hint=f"a {column.logical_type} has {', '.join(sorted(_FITTING[column.logical_type])) or 'none'}",
        )
    limits = {limit: column.options[limit] for limit in _LIMITS if limit in column.options}
    if limits:
        yield _range(column, limits)
    if column.options.keys() & {"minLength", "maxLength"}:
        yield _length(column)
    if "pattern" in column.options:
        yield _pattern(column.name, "pattern", str(column.options["pattern"]))
    if "multipleOf" in column.options:
        divisor = literal(column.options["multipleOf"])
        broken = f"{name(column.name)}::numeric % {divisor} <> 0"
        yield Rule(f"{column.name}.multiple", "row", columns=(column.name,), broken=broken)
    if "format" in column.options:
        yield from _format(column, str(column.options["format"]), contract)


def _range(column: Column, limits: Mapping[str, Any]) -> Rule:
    broken = " OR ".join(f"{name(column.name)} {_LIMITS[k]} {typed(column, value)}" for k, value in limits.items())
    twice = {"minimum", "exclusiveMinimum"} <= limits.keys() or {"maximum", "exclusiveMaximum"} <= limits.keys()
    if column.logical_type in _MOMENTS or twice:
        return Rule(f"{column.name}.range", "row", columns=(column.name,), broken=broken)
    bounds = {
        "min_value": limits.get("minimum", limits.get("exclusiveMinimum")),
        "max_value": limits.get("maximum", limits.get("exclusiveMaximum")),
        "strict_min": "exclusiveMinimum" in limits,
        "strict_max": "exclusiveMaximum" in limits,
    }
    return _native(column.name, "range", "ExpectColumnValuesToBeBetween", bounds, broken)


def _length(column: Column) -> Rule:
    shortest, longest = column.options.get("minLength"), column.options.get("maxLength")
    size = f"char_length({name(column.name)})"
    parts = [f"{size} {sign} {literal(n)}" for sign, n in (("<", shortest), (">", longest)) if n is not None]
    bounds = {"min_value": shortest, "max_value": longest}
    return _native(column.name, "length", "ExpectColumnValueLengthsToBeBetween", bounds, " OR ".join(parts))


def _pattern(column: str, kind: str, regex: str) -> Rule:
    broken = f"{name(column)} !~ {literal(regex)}"
    return _native(column, kind, "ExpectColumnValuesToMatchRegex", {"regex": regex}, broken)


def _format(column: Column, kind: str, contract: Contract) -> Iterator[Rule]:
    if column.logical_type in _MOMENTS or kind in _FOR_PEOPLE or kind in {"f32", "f64"}:
        return
    if column.logical_type == "string" and kind in _FORMATS:
        yield _pattern(column.name, "format", _FORMATS[kind])
    elif column.logical_type == "integer" and kind[:1] in {"i", "u"} and kind[1:] in _BITS:
        yield _integer_format(column.name, kind[0] == "i", _BITS[kind[1:]])
    else:
        known = sorted({*_FORMATS, *_FOR_PEOPLE}) if column.logical_type == "string" else ["i8 … i128", "u8 … u128"]
        raise SpecError(
            f"the column {column.name!r} has the format {kind!r}, which cannot be checked",
            where=str(contract.path),
            hint=f"use {', '.join(known)}, or a pattern",
        )


def _integer_format(column: str, signed: bool, bits: int) -> Rule:
    lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    broken = f"{name(column)}::numeric NOT BETWEEN {lowest} AND {highest}"
    return Rule(f"{column}.format", "row", columns=(column,), broken=broken)


def _required(column: str) -> Rule:
    return Rule(
        f"{column}.required",
        "row",
        columns=(column,),
        broken=f"{name(column)} IS NULL",
        expectation="ExpectColumnValuesToNotBeNull",
        arguments={"column": column},
        distinct=column,
        held=True,
    )


def _native(column: str, kind: str, expectation: str, arguments: dict[str, Any], broken: str) -> Rule:
    given = {key: value for key, value in arguments.items() if value is not None and value is not False}
    return Rule(
        f"{column}.{kind}",
        "row",
        columns=(column,),
        broken=broken,
        expectation=expectation,
        arguments={"column": column, **given},
        distinct=column,
    )


def _unique(rule: str, columns: tuple[str, ...], *, held: bool = False) -> Rule:
    """Return the rule that columns are unique within a partition; missing values are equal to nothing."""
    return Rule(
        f"{rule}.unique",
        "row",
        columns=columns,
        unique=columns,
        expectation="ExpectCompoundColumnsToBeUnique",
        arguments={"column_list": ["partition_key", *columns], "ignore_row_if": "any_value_is_missing"},
        held=held,
    )
