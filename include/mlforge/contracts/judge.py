"""Great Expectations: is what was measured what the contract demands?

An expectation of its own costs Great Expectations some 10 ms each, for dozens of rules and hundreds of partitions. So
all figures are one batch, and two expectations compare them with their lowest and their highest right value.
"""

from __future__ import annotations

import functools
import logging
import os
import secrets
from collections.abc import Sequence
from typing import Any

from mlforge.contracts.measure import Figures
from mlforge.contracts.rules import Finding, Rule
from mlforge.errors import TerminalError


@functools.cache
def library() -> Any:
    """Import Great Expectations without its telemetry, its log lines and its progress bars."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    import great_expectations

    context = great_expectations.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    return great_expectations, context


def judge(rules: Sequence[Rule], figures: Figures) -> list[Finding]:
    """Return what each rule showed in each partition, in the order of the rules and of the keys."""
    cases = [(rule, key, value) for rule in rules for key, value in sorted(figures.values[rule.name].items())]
    limits = {rule.name: rule.bound.limits for rule in rules}
    broken = _validate([_as_range(rule, limits[rule.name], value) for rule, _, value in cases])
    return [Finding(rule, key, place not in broken, value) for place, (rule, key, value) in enumerate(cases)]


def _as_range(rule: Rule, limits: tuple[float, float] | None, value: float | None) -> tuple[float, float, float]:
    """Return a figure with its lowest and highest right value; 1 or 0 where the right ones are no range."""
    if limits is None or value is None or value != value:
        return float(rule.bound.holds(value)), 1.0, 1.0
    return value, *limits


def _validate(figures: Sequence[tuple[float, float, float]]) -> set[int]:
    """Return the places of the figures that are outside their limits."""
    import pandas as pd

    gx, context = library()
    frame = pd.DataFrame(figures, columns=["figure", "lowest", "highest"], dtype="float64")
    suite = gx.ExpectationSuite(name=secrets.token_hex(6))
    for larger, smaller in (("figure", "lowest"), ("highest", "figure")):
        suite.expectations.append(
            gx.expectations.ExpectColumnPairValuesAToBeGreaterThanB(
                column_A=larger, column_B=smaller, or_equal=True, ignore_row_if="neither"
            )
        )
    name = f"figures_{secrets.token_hex(6)}"
    source = context.data_sources.add_pandas(name)
    try:
        asset = source.add_dataframe_asset("figures")
        batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
        results = batch.validate(suite, result_format="COMPLETE").results
    finally:
        context.data_sources.delete(name)
    broken: set[int] = set()
    for result in results:
        found = (result.result or {}).get("unexpected_index_list")
        if not result.success and not found:
            raise TerminalError(
                f"Great Expectations could not judge the figures: {result.exception_info}", hint="report this as a bug"
            )
        broken |= set(found or ())
    return broken
