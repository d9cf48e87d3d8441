"""A rule of the gate, and whether a candidate keeps it."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, field_validator

Figure = float | int | str


class Check(BaseModel):
    """One rule of the gate and whether the candidate keeps it.

    Attributes:
        name: The rule.
        passed: Whether it is kept.
        detail: The figures in words.
        figures: Name → figure; what is no finite number is text.
        measured: Whether the figures come from a clock, so that they differ a little each time.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    passed: bool
    detail: str
    figures: dict[str, Figure] = {}
    measured: bool = False

    @field_validator("figures")
    @classmethod
    def _finite(cls, figures: dict[str, Figure]) -> dict[str, Figure]:
        # The ledger's JSON knows no NaN.
        return {
            name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in figures.items()
        }


def is_at_most(name: str, value: float, limit: float, text: str, **figures: Figure) -> Check:
    """Return the check that a value is not above its limit."""
    kept = value <= limit
    detail = f"{text} {value:.4g} {'≤' if kept else '>'} {limit:g}"
    return Check(name=name, passed=kept, detail=detail, figures={"value": value, "limit": limit, **figures})
