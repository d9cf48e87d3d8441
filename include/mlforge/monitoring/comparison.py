"""Two samples of examples, compared column by column with Evidently."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlforge import drift as rules
from mlforge.drift import MINIMUM_ROWS, Kind, column_series, kind_of, psi_of_shares, sample_rows
from mlforge.errors import MonitoringError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


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
    reference, current = sample_rows(reference), sample_rows(current)
    prepared = _Prepared()
    for column in columns:
        _prepare(prepared, column, reference, current, threshold)
    scores, html = _run_report(prepared, threshold) if prepared.kinds else ({}, "")
    drifted = prepared.drifted | {column for column, score in scores.items() if score >= threshold}
    return Comparison(scores, prepared.findings, tuple(column for column in columns if column in drifted), html)


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
    old, new = column_series(before, kind), column_series(after, kind)
    if old.isna().all() or new.isna().all():  # NaN is no null to Arrow
        side = rules.NO_REFERENCE if old.isna().all() else rules.EMPTY
        return prepared.find(column, side, drifted=side == rules.EMPTY)
    nulls = float(old.isna().mean()), float(new.isna().mean())
    if psi_of_shares(*nulls) >= threshold:
        prepared.find(column, f"nulls: {nulls[0]:.1%} in the training set, {nulls[1]:.1%} now", drifted=True)
    comparable = rules.comparable_numbers if kind == "number" else rules.comparable_categories
    prepared.reference[column], prepared.current[column] = comparable(old, new)
    prepared.kinds[column] = kind
    return None


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
