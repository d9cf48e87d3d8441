"""Rules: what a contract demands, in the form that can be checked."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "info"]
Value = float | int | bool

# Operator of the standard → what a figure must be, in words.
OPERATORS: dict[str, str] = {
    "mustBe": "{0}",
    "mustNotBe": "not {0}",
    "mustBeGreaterThan": "above {0}",
    "mustBeGreaterOrEqualTo": "at least {0}",
    "mustBeLessThan": "below {0}",
    "mustBeLessOrEqualTo": "at most {0}",
    "mustBeBetween": "between {0} and {1}",
    "mustNotBeBetween": "not between {0} and {1}",
}


@dataclass(frozen=True)
class Bound:
    """What a figure must be.

    Attributes:
        operator: The standard's own name of the comparison.
        values: One number or boolean, or the two ends of a range.
        unit: What the figure counts, for people: `rows`, `%`, or nothing.
    """

    operator: str
    values: tuple[Value, ...]
    unit: str = ""

    @property
    def text(self) -> str:
        """The bound in words; put «must be» before it."""
        return f"{OPERATORS[self.operator].format(*map(show, self.values))} {self.unit}".strip()

    @property
    def forbids_rows(self) -> bool:
        """Whether the figure, a number of rows or their share, can only be nothing."""
        return (self.operator, self.values) in {
            ("mustBe", (0,)),
            ("mustBeLessOrEqualTo", (0,)),
        } or (self.unit == "rows" and (self.operator, self.values) == ("mustBeLessThan", (1,)))

    @property
    def limits(self) -> tuple[float, float] | None:
        """The lowest and the highest figure that is right; none where the right ones are no range."""
        first, last = float(self.values[0]), float(self.values[-1])
        ends: dict[str, tuple[float, float]] = {
            "mustBe": (first, first),
            "mustBeGreaterThan": (math.nextafter(first, math.inf), math.inf),
            "mustBeGreaterOrEqualTo": (first, math.inf),
            "mustBeLessThan": (-math.inf, math.nextafter(first, -math.inf)),
            "mustBeLessOrEqualTo": (-math.inf, first),
            "mustBeBetween": (first, last),
        }
        return ends.get(self.operator)

    def holds(self, figure: float | None) -> bool:
        """Return whether a figure is right; one that is missing or no number is not."""
        if figure is None or math.isnan(figure):
            return False
        limits = self.limits
        if limits is not None:
            return limits[0] <= figure <= limits[1]
        if self.operator == "mustNotBe":
            return figure != float(self.values[0])
        return not float(self.values[0]) <= figure <= float(self.values[1])


NO_ROW = Bound("mustBe", (0,), "rows")


@dataclass(frozen=True)
class Rule:
    """One rule of a contract.

    A rule is measured in each partition by exactly one of `broken`, `unique`, `aggregate`, `query` and, for one that
    Great Expectations computes itself, `custom`.

    Attributes:
        name: Unique within its contract.
        scope: `row` if single rows break it, `partition` if a partition as a whole does.
        severity: An error sets rows aside or fails the partition; a warning is told; an info is recorded only.
        bound: What the figure must be; for a rule on rows, the number of rows that break it.
        columns: The columns that it speaks of, for the examples.
        broken: SQL condition that holds for exactly the rows that break it.
        unique: Columns that together are unique within a partition; missing values are equal to nothing.
        aggregate: SQL aggregate over the rows of a partition.
        query: SQL query for one figure, with `${table}` in place of the partition's rows.
        custom: Name of an expectation of Great Expectations, for each partition by itself.
        expectation: The same demand as an expectation on all rows, for rules that have one.
        arguments: What that expectation, or the custom one, is given.
        distinct: Column whose distinct values alone decide; few values need few comparisons.
        held: Whether the warehouse cannot hold rows that break it, whatever the policy.
        description: The contract's own words.
    """

    name: str
    scope: Literal["row", "partition"]
    severity: Severity = "error"
    bound: Bound = NO_ROW
    columns: tuple[str, ...] = ()
    broken: str | None = None
    unique: tuple[str, ...] = ()
    aggregate: str | None = None
    query: str | None = None
    custom: str | None = None
    expectation: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    distinct: str | None = None
    held: bool = False
    description: str = ""


@dataclass(frozen=True)
class Finding:
    """What a rule showed in one partition.

    Attributes:
        observed: The figure: of a rule on rows, how many break it.
        examples: The first few rows that break it: their key and the columns in question.
    """

    rule: Rule
    partition_key: str
    passed: bool
    observed: float | None
    examples: tuple[dict[str, Any], ...] = ()

    @property
    def rows_failed(self) -> int:
        """Rows that break it; none for a rule on a whole partition."""
        return int(self.observed or 0) if self.rule.scope == "row" else 0


def show(value: Value | None) -> str:
    """Return a figure for people: at most six digits, thousands apart."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if math.isfinite(value) and value == int(value):
        return f"{int(value):,}"
    return f"{value:,.6g}"
