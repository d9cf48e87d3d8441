"""What a model costs: time to score one row, and size of its file."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlforge.registry.checks.check import Check, is_at_most
from mlforge.registry.checks.evidence import Evidence
from mlforge.scoring import FORMATS, ScoringModel
from mlforge.tracking import download_model

_ROWS = 60
_ROUNDS = 5
_MEGABYTE = 1_000_000


def check_latency(evidence: Evidence) -> list[Check]:
    """Return whether a row is scored within `maximum_latency_ms`, where that is set."""
    limit = evidence.use_case.gates.maximum_latency_ms
    if limit is None:
        return []
    milliseconds = measure_latency(evidence.model, _single_rows(evidence)) * 1000
    check = is_at_most("fast enough", milliseconds, limit, "milliseconds to score one row, median:", rows=_ROWS)
    return [check.model_copy(update={"measured": True})]


def measure_latency(model: ScoringModel, rows: Sequence[Mapping[str, Sequence[Any]]]) -> float:
    """Return the seconds that scoring a row takes: the smallest of several medians, in one thread, after a warm-up.

    Others on the machine make a run slower, never faster: the smallest median says most of the model.
    """
    medians = []
    for _ in range(1 + _ROUNDS):
        times = []
        for row in rows:
            begun = time.perf_counter()
            model.score(row)
            times.append(time.perf_counter() - begun)
        medians.append(statistics.median(times))
    return min(medians[1:])


def check_size(evidence: Evidence) -> list[Check]:
    """Return whether the model's file is no larger than `maximum_size_mb`, where that is set."""
    limit = evidence.use_case.gates.maximum_size_mb
    if limit is None:
        return []
    file = download_model(evidence.candidate.uri) / FORMATS[evidence.model.description.format].file
    return [is_at_most("small enough", file.stat().st_size / _MEGABYTE, limit, "megabytes of the model's file:")]


def _single_rows(evidence: Evidence) -> list[dict[str, list[Any]]]:
    """Return real rows from the whole test window, one by one as serving scores them."""
    places = np.unique(np.linspace(0, len(evidence.test) - 1, _ROWS).astype(np.int64))
    columns = evidence.test.columns(evidence.model.feature_names)
    return [{name: [values[place]] for name, values in columns.items()} for place in places]
