"""Two samples of examples, compared column by column with Evidently."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlforge.errors import MonitoringError
from mlforge.monitoring import columns as rules
from mlforge.monitoring.columns import Kind, kind_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# PSI of two equal distributions is about bins · (1/n + 1/m): with 15 bins and fewer rows it reaches usual thresholds.
MINIMUM_ROWS = 100
MAXIMUM_ROWS = 20_000
_SMALLEST_SHARE = 1e-4  # for a share of zero; the same as Evidently's


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes:
        scores: Column to PSI, of the values that are there.
        findings: Column to what its score does not tell: it is missing, empty, or has other shares of nulls.
        drifted: Columns that differ, by score or by finding, in the reference's order.
        html: The page; empty when no column could be scored.
    """

    scores: dict[str, float]
    findings: dict[str, str]
    drifted: tuple[str, ...]
    html: str


@dataclass
class _Prepared:
    reference: dict[str, pd.Series[Any]] = field(default_factory=dict)
    current: dict[str, pd.Series[Any]] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(default_factory=dict)
    findings: dict[str, str] = field(default_factory=dict)
    drifted: set[str] = field(default_factory=set)

    def find(self, column: str, finding: str, *, drifted: bool) -> None:
        self.findings[column] = finding
        if drifted:
            self.drifted.add(column)


def compare(reference: pa.Table, current: pa.Table, columns: Sequence[str], threshold: float) -> Comparison:
    """Return how the current examples differ from the reference.

    Args:
        reference: Examples that the champion was trained on; a column that the current ones lack is a finding.
        current: Examples of the window.
        columns: Columns of the reference to compare.
        threshold: PSI from which on a column has drifted, in its values or in its share of nulls.

    Raises:
        MonitoringError: One side has too few rows for any statement, or Evidently cannot compare a column.
    """
    for name, table in (("training set", reference), ("partition", current)):
        if table.num_rows < MINIMUM_ROWS:
            raise MonitoringError(
                f"the {name} has {table.num_rows} rows; a drift score needs {MINIMUM_ROWS}",
                hint="compare more days: `monitors.window_days`, or a range of partitions",
            )
    reference, current = _sample(reference), _sample(current)
    prepared = _Prepared()
    for column in columns:
        _prepare(prepared, column, reference, current, threshold)
    scores, html = _run_report(prepared, threshold) if prepared.kinds else ({}, "")
    drifted = prepared.drifted | {column for column, score in scores.items() if score >= threshold}
    return Comparison(scores, prepared.findings, tuple(column for column in columns if column in drifted), html)


def _sample(table: pa.Table) -> pa.Table:
    """Return at most MAXIMUM_ROWS rows, the same ones for the same number of rows."""
    import numpy as np

    if table.num_rows <= MAXIMUM_ROWS:
        return table
    chosen = np.random.default_rng(0).choice(table.num_rows, MAXIMUM_ROWS, replace=False)
    return table.take(np.sort(chosen))


def _prepare(prepared: _Prepared, column: str, reference: pa.Table, current: pa.Table, threshold: float) -> None:
    """Add a column's values to what Evidently compares, or the finding that says why not."""
    if column not in current.column_names:
        return prepared.find(column, rules.MISSING, drifted=True)
    before, after = reference.column(column), current.column(column)
    kind = kind_of(before.type)
    if kind is None or before.null_count == len(before):
        return prepared.find(column, rules.NO_REFERENCE, drifted=False)
    if after.null_count == len(after):
        return prepared.find(column, rules.EMPTY, drifted=True)
    if kind_of(after.type) != kind:
        return prepared.find(column, rules.RETYPED, drifted=True)
    old, new = _series(before, kind), _series(after, kind)
    if old.isna().all() or new.isna().all():  # NaN is no null to Arrow
        side = rules.NO_REFERENCE if old.isna().all() else rules.EMPTY
        return prepared.find(column, side, drifted=side == rules.EMPTY)
    nulls = float(old.isna().mean()), float(new.isna().mean())
    if _psi_of_shares(*nulls) >= threshold:
        prepared.find(column, f"nulls: {nulls[0]:.1%} in the training set, {nulls[1]:.1%} now", drifted=True)
    comparable = rules.comparable_numbers if kind == "number" else rules.comparable_categories
    prepared.reference[column], prepared.current[column] = comparable(old, new)
    prepared.kinds[column] = kind
    return None


def _series(values: pa.ChunkedArray, kind: Kind) -> pd.Series[Any]:
    import pyarrow as pa

    series: pd.Series[Any] = values.cast(pa.float64() if kind == "number" else pa.string()).to_pandas()
    return series


def _psi_of_shares(before: float, after: float) -> float:
    """Return the PSI of a yes-or-no quantity from its shares of yes."""
    total = 0.0
    for old, new in ((before, after), (1 - before, 1 - after)):
        old, new = max(old, _SMALLEST_SHARE), max(new, _SMALLEST_SHARE)
        total += (old - new) * math.log(old / new)
    return total


def _run_report(prepared: _Prepared, threshold: float) -> tuple[dict[str, float], str]:
    import pandas as pd

    os.environ.setdefault("DO_NOT_TRACK", "1")
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    definition = DataDefinition(
        numerical_columns=[name for name, kind in prepared.kinds.items() if kind == "number"],
        categorical_columns=[name for name, kind in prepared.kinds.items() if kind == "category"],
    )
    metrics = [ValueDrift(column=name, method="psi", threshold=threshold) for name in prepared.kinds]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # correlations of constant columns, which only its plots use
            snapshot = Report(metrics).run(
                Dataset.from_pandas(pd.DataFrame(prepared.current), data_definition=definition),
                Dataset.from_pandas(pd.DataFrame(prepared.reference), data_definition=definition),
            )
            html = snapshot.get_html_str(as_iframe=False)
    except ValueError as error:
        raise MonitoringError(f"Evidently cannot compare the samples: {error}") from error
    scores = {metric["config"]["column"]: round(float(metric["value"]), 6) for metric in snapshot.dict()["metrics"]}
    unusable = [name for name in prepared.kinds if not math.isfinite(scores.get(name, math.nan))]
    if unusable:
        raise MonitoringError("Evidently gave no score for some columns", evidence=unusable)
    return scores, html
