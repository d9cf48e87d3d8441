"""The statistics of the gate on 20,000 test rows: 1,000 resamples over all rows and in each of twenty groups."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from figures import Figure, median, show

ROWS, GROUPS, TURNS = 20_000, 20, 7


def measure() -> list[Figure]:
    """Return the seconds by rows and by days."""
    from mlforge.registry.checks.segments import check_segments

    return [
        Figure(
            f"gate: {ROWS:,} rows × 1,000 resamples, all rows and {GROUPS} groups, by {resample}",
            median([_seconds(check_segments, resample) for _ in range(TURNS)]),
            "s",
            "≤ 2 s" if resample == "row" else "",
        )
        for resample in ("row", "day")
    ]


def _seconds(check_segments: Any, resample: str) -> float:
    evidence = _evidence(resample)
    begun = time.perf_counter()
    found = evidence.comparison, check_segments(evidence)
    seconds = time.perf_counter() - begun
    assert found[0] is not None  # noqa: S101
    assert len(found[1][1]) == GROUPS  # noqa: S101
    return seconds


def _evidence(resample: str) -> Any:
    import pyarrow as pa

    from mlforge.examples import Examples
    from mlforge.registry.checks import Evidence, Predictions
    from mlforge.spec import load_use_case
    from mlforge.spec.gates import Segment

    use_case = load_use_case("flight_delays")
    update = {"resample": resample, "segments": [Segment(by="group", margin=1.0)]}
    use_case = use_case.model_copy(update={"gates": use_case.gates.model_copy(update=update)})
    generator = np.random.default_rng(0)
    times = np.datetime64("2013-04-01", "us") + np.sort(generator.integers(0, 7 * 86_400_000_000, ROWS))
    table = pa.table({"group": [f"g{number % GROUPS}" for number in range(ROWS)]})
    test = Examples(table, np.zeros(ROWS), times)
    own, theirs = (Predictions(np.zeros(ROWS), generator.gamma(1.0, 0.5, ROWS), {"log_loss": 0.5}) for _ in range(2))
    no_use: Any = None
    return Evidence(use_case, no_use, test, test, no_use, own, no_use, theirs)


if __name__ == "__main__":
    show(measure())
