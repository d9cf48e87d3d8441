"""How a column comes from another, in the words of the OpenLineage specification."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["DIRECT", "INDIRECT"]
Subtype = Literal[
    "IDENTITY", "TRANSFORMATION", "AGGREGATION",  # direct: the value is made of it
    "CONDITIONAL", "FILTER", "JOIN", "GROUP_BY", "SORT", "WINDOW",  # indirect: it decides which value is taken
]  # fmt: skip
_STRENGTH: tuple[Subtype, ...] = (
    "IDENTITY", "TRANSFORMATION", "AGGREGATION", "CONDITIONAL", "WINDOW", "JOIN", "GROUP_BY", "FILTER", "SORT",
)  # fmt: skip


@dataclass(frozen=True, order=True)
class Input:
    """A column that another one, or a whole result, is computed from.

    Attributes:
        table: `schema.table` in SQL; the name of a dataset elsewhere; empty where the SQL does not tell.
        column: Its name.
        kind: DIRECT if values are made of it, INDIRECT if it only decides which ones.
        subtype: In which way.
    """

    table: str
    column: str
    kind: Kind = "DIRECT"
    subtype: Subtype = "IDENTITY"

    @property
    def address(self) -> tuple[str, str]:
        """Table and column."""
        return self.table, self.column

    def through(self, kind: Kind, subtype: Subtype) -> Input:
        """Return this input as seen by what reads it in another way: the weaker of the two ways counts."""
        if kind == self.kind == "DIRECT":
            strongest = max(subtype, self.subtype, key=_STRENGTH.index)
            return replace(self, subtype=strongest)
        if kind == "INDIRECT":
            return replace(self, kind=kind, subtype=subtype)
        return self


def distinct(inputs: list[Input]) -> tuple[Input, ...]:
    """Return each column once per way, in their first order; of several direct ways the one that changes most."""
    found: dict[tuple[str, ...], Input] = {}
    for item in inputs:
        place = (*item.address, "" if item.kind == "DIRECT" else item.subtype)
        known = found.get(place, item)
        found[place] = max(known, item, key=lambda each: _STRENGTH.index(each.subtype))
    return tuple(found.values())
