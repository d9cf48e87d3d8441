"""Rules: what a contract demands, in the form that can be checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Rule:
    """One rule of a contract.

    Attributes:
        name: Unique within its contract.
        scope: `row` if single rows break it, `partition` if a partition as a whole does.
        severity: An error sets rows aside or fails the partition; a warning is recorded only.
        expectation: Name of the Great Expectations class.
        arguments: What that class is given.
        columns: The columns that it speaks of, for the examples.
        broken: SQL condition that holds for exactly the rows that break it, for rules that have one.
    """

    name: str
    scope: Literal["row", "partition"]
    severity: Severity
    expectation: str
    arguments: dict[str, Any]
    columns: tuple[str, ...] = ()
    broken: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What checking a rule found.

    Attributes:
        row_ids: `_row_id` of every row that breaks a rule of scope `row`.
        observed: What a partition showed instead, by partition key.
    """

    rule: Rule
    passed: bool
    row_ids: tuple[int, ...] = ()
    observed: dict[str, Any] = field(default_factory=dict)
