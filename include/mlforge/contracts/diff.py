"""Two versions of a contract: what changed, what of it breaks those who read or write the data, and which version."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mlforge.contracts.rules import OPERATORS, Bound
from mlforge.errors import SpecError
from mlforge.spec import Column, Contract

Level = Literal["major", "minor", "patch"]
LEVELS: tuple[Level, ...] = ("major", "minor", "patch")
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:[-+].*)?")
_WIDTH = {"smallint": 0, "integer": 1, "bigint": 2}
_LOWEST = ("minimum", "exclusiveMinimum", "minLength")
_HIGHEST = ("maximum", "exclusiveMaximum", "maxLength")
_WORDS = {"timezone", "defaultTimezone"}
_ABOUT = {
    "description",
    "dimension",
    "businessImpact",
    "tags",
    "id",
    "authoritativeDefinitions",
    "scheduler",
    "schedule",
}
_STRICTNESS = {"error": 2, "warning": 1, "info": 0}


@dataclass(frozen=True)
class Change:
    """One difference.

    Attributes:
        level: `major` breaks, `minor` is a compatible change of what holds, `patch` one of words only.
        what: One sentence.
        column: The column that it is about; empty for the dataset as a whole.
    """

    level: Level
    what: str
    column: str = ""

    @property
    def breaking(self) -> bool:
        """Whether those who read or write the data have to act."""
        return self.level == "major"


def compare(old: Contract, new: Contract) -> list[Change]:
    """Return what changed from one version to the next, the gravest first."""
    changes = [*_columns(old, new), *_key(old, new), *_rules("", old.quality, new.quality)]
    if old.description != new.description:
        changes.append(Change("patch", "the description is another"))
    return sorted(changes, key=lambda change: (LEVELS.index(change.level), change.column))


def suggested_version(old: Contract, changes: list[Change]) -> str:
    """Return the smallest version that tells of the changes.

    Raises:
        SpecError: The old version is no MAJOR.MINOR.PATCH.
    """
    major, minor, patch = parse_version(old.version, old)
    if not changes:
        return old.version
    level = changes[0].level
    if level == "major":
        return f"{major + 1}.0.0"
    return f"{major}.{minor + 1}.0" if level == "minor" else f"{major}.{minor}.{patch + 1}"


def parse_version(version: str, contract: Contract) -> tuple[int, int, int]:
    """Return the three numbers of a version.

    Raises:
        SpecError: It is no MAJOR.MINOR.PATCH.
    """
    match = _VERSION.fullmatch(version)
    if match is None:
        raise SpecError(
            f"the version {version!r} is no MAJOR.MINOR.PATCH", where=str(contract.path), hint="write it as 1.0.0"
        )
    return int(match[1]), int(match[2]), int(match[3])


def _columns(old: Contract, new: Contract) -> Iterator[Change]:
    before, after = ({column.name: column for column in contract.columns} for contract in (old, new))
    added = [name for name in after if name not in before]
    for name, column in before.items():
        if name in after:
            yield from _column(column, after[name])
            continue
        alike = [each for each in added if after[each].logical_type == column.logical_type]
        near = difflib.get_close_matches(name, alike, n=1, cutoff=0.5)
        renamed = f"; renamed to {near[0]!r}?" if near else ""
        yield Change("major", f"the column is gone{renamed}", name)
    for name in added:
        needed = after[name].required or after[name].key_position is not None
        how = "a new column that must have a value" if needed else "a new column that may be missing"
        yield Change("major" if needed else "minor", how, name)


def _column(old: Column, new: Column) -> Iterator[Change]:
    name = new.name
    if old.sql_type != new.sql_type:
        wider = old.sql_type in _WIDTH and _WIDTH.get(new.sql_type, -1) > _WIDTH[old.sql_type]
        how = "wider" if wider else "another"
        yield Change("minor" if wider else "major", f"its type is {how}: {old.sql_type} → {new.sql_type}", name)
    for what, before, after in (("required", old.required, new.required), ("unique", old.unique, new.unique)):
        if before != after:
            yield Change("major" if after else "minor", f"it is {'now' if after else 'no longer'} {what}", name)
    yield from _enum(old, new)
    yield from _options(old, new)
    yield from _rules(name, old.quality, new.quality)
    if old.description != new.description:
        yield Change("patch", "its description is another", name)


def _enum(old: Column, new: Column) -> Iterator[Change]:
    if not old.allowed and not new.allowed:
        return
    if not old.allowed:
        yield Change("major", "its values are now limited to a list", new.name)
    elif not new.allowed:
        yield Change("minor", "its values are no longer limited to a list", new.name)
    else:
        gone = [value for value in old.allowed if value not in new.allowed]
        come = [value for value in new.allowed if value not in old.allowed]
        if gone:
            yield Change("major", f"values are no longer allowed: {_some(gone)}", new.name)
        if come:
            yield Change("minor", f"values are newly allowed: {_some(come)}", new.name)


def _options(old: Column, new: Column) -> Iterator[Change]:
    for option in sorted((old.options.keys() | new.options.keys()) - _WORDS):
        before, after = old.options.get(option), new.options.get(option)
        if before == after:
            continue
        stricter = before is None or (after is not None and _stricter(option, before, after))
        how = "stricter" if stricter else "looser"
        yield Change("major" if stricter else "minor", f"{option} is {how}: {_say(before)} → {_say(after)}", new.name)


def _stricter(option: str, before: Any, after: Any) -> bool:
    if option in _LOWEST:
        return bool(after > before)
    if option in _HIGHEST:
        return bool(after < before)
    return not (option == "multipleOf" and before % after == 0)


def _key(old: Contract, new: Contract) -> Iterator[Change]:
    if old.key != new.key:
        before, after = (", ".join(contract.key) or "none" for contract in (old, new))
        yield Change("major", f"the key is another: {before} → {after}")


def _rules(column: str, old: tuple[dict[str, Any], ...], new: tuple[dict[str, Any], ...]) -> Iterator[Change]:
    before, after = _by_name(old), _by_name(new)
    for name in [*before, *(name for name in after if name not in before)]:
        if name not in after:
            yield Change(_words(before[name], "minor"), f"the rule {name!r} is gone", column)
        elif name not in before:
            level: Level = "major" if _severity(after[name]) == "error" else "minor"
            yield Change(_words(after[name], level), f"the rule {name!r} is new ({_severity(after[name])})", column)
        elif before[name] != after[name]:
            yield _rule(name, before[name], after[name], column)


def _rule(name: str, old: dict[str, Any], new: dict[str, Any], column: str) -> Change:
    changed = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
    if changed <= _ABOUT or new.get("type") == "text":
        return Change("patch", f"the rule {name!r} says the same in other words", column)
    if _severity(new) != "error":
        return Change("minor", f"the rule {name!r} is another ({_severity(new)})", column)
    if changed <= {"severity", *_ABOUT}:
        harder = _STRICTNESS[_severity(new)] > _STRICTNESS.get(_severity(old), 0)
        return Change("major" if harder else "minor", f"the rule {name!r} is now an {_severity(new)}", column)
    if changed <= {*OPERATORS, *_ABOUT} and _contains(_bound(new), _bound(old)):
        return Change("minor", f"the rule {name!r} is looser", column)
    return Change("major", f"the rule {name!r} asks for something else, or for more", column)


def _contains(outer: Bound | None, inner: Bound | None) -> bool:
    if outer is None or inner is None or outer.limits is None or inner.limits is None:
        return False
    return outer.limits[0] <= inner.limits[0] and inner.limits[1] <= outer.limits[1]


def _bound(rule: Mapping[str, Any]) -> Bound | None:
    for operator in OPERATORS:
        if operator in rule:
            value = rule[operator]
            return Bound(operator, tuple(value) if isinstance(value, list) else (value,))
    return None


def _by_name(rules: tuple[dict[str, Any], ...]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for rule in rules:
        name = str(rule.get("name") or rule.get("id") or rule.get("metric") or rule.get("type") or "rule")
        while name in found:
            name += "'"
        found[name] = rule
    return found


def _severity(rule: Mapping[str, Any]) -> str:
    return str(rule.get("severity", "error"))


def _words(rule: Mapping[str, Any], level: Level) -> Level:
    return "patch" if rule.get("type") == "text" else level


def _some(values: list[Any]) -> str:
    return ", ".join(map(str, values[:5])) + (f" and {len(values) - 5} more" if len(values) > 5 else "")


def _say(value: Any) -> str:
    return "none" if value is None else str(value)
