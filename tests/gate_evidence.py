"""Evidence and cards of the gate from plain arrays: for tests of its checks, without a service."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from mlforge.examples import Examples
from mlforge.metrics import measure_use_case, use_case_losses
from mlforge.refs import Candidate, Release, TrainingSet
from mlforge.registry.card import PromotionCard
from mlforge.registry.checks import Evidence, Predictions, run_checks
from mlforge.spec import UseCase, load_use_case
from mlforge.spec.gates import Gates

FIRST_TEST_DAY = np.datetime64("2013-04-08", "us")
BASE = {"use_case": "flight_delays", "partition_key": "2013-04-14", "rows": 1, "content_hash": "c0ffee" * 6,
        "code_version": "c0de"}  # fmt: skip


def gated(name: str = "flight_delays", **gates: Any) -> UseCase:
    """Return a shipped use case with gates of one's own; what is not said is off."""
    use_case = load_use_case(name)
    plain = Gates(beat_baselines=[], metric=use_case.gates.metric)
    return use_case.model_copy(update={"gates": plain.model_copy(update=gates)})


def make_candidate(**changes: Any) -> Candidate:
    """Return a candidate's ref, with other values of its fields."""
    training_set = TrainingSet(
        **BASE, uri="file:///t.parquet", as_of=datetime(2013, 4, 15, tzinfo=UTC), feature_service="flight_delays",
        publications={"flights": 7, "weather": 9},
    )  # fmt: skip
    given = {"run_id": "run", "model_name": "flight_delays", "model_version": 3, "training_set": training_set,
             "metrics": {}, "baselines": {}}  # fmt: skip
    return Candidate(**{**BASE, "uri": "models:/m-1", **given, **changes})


def make_champion(**changes: Any) -> Release:
    """Return a champion's ref."""
    given = {"release_id": 2, "model_name": "flight_delays", "model_version": 2, "bento": "flight_delays:v2-r2",
             "feature_service": "flight_delays", "parent_id": 1}  # fmt: skip
    return Release(**{**BASE, "uri": "models:/m-0", **given, **changes})


def make_labels(rows: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and the probabilities that they were drawn with."""
    generator = np.random.default_rng(seed)
    probabilities = generator.beta(2, 6, rows)
    return (generator.random(rows) < probabilities).astype(float), probabilities


def predictions(use_case: UseCase, labels: np.ndarray, scores: np.ndarray) -> Predictions:
    """Return what is measured of scores that are numbers."""
    lost = use_case_losses(use_case, use_case.gates.metric, labels, scores)
    return Predictions(scores, lost, measure_use_case(use_case, labels, scores))


def make_evidence(
    use_case: UseCase,
    labels: np.ndarray,
    own: np.ndarray | Predictions,
    theirs: np.ndarray | Predictions | None = None,
    *,
    days: int = 7,
    candidate: Candidate | None = None,
    before: dict[str, Any] | None = None,
    **columns: Any,
) -> Evidence:
    """Return evidence about test rows spread over some days.

    Args:
        use_case: With its gates.
        labels: Of the test rows.
        own: What the candidate predicts for them.
        theirs: What the champion predicts; none for no champion.
        days: Over which the test rows are spread.
        candidate: Else one of no interest.
        before: Columns of the training rows that come before; none for no such rows.
        columns: Of the test rows.
    """
    times = FIRST_TEST_DAY + (np.arange(len(labels)) * days * 86_400_000_000 // len(labels)).astype("timedelta64[us]")
    table = pa.table({"event_timestamp": times, **columns})
    test = Examples(table, labels, times)
    examples = test
    if before is not None:
        earlier = pa.table({"event_timestamp": [FIRST_TEST_DAY] * len(next(iter(before.values()))), **before})
        whole = pa.concat_tables([earlier, table], promote_options="default")
        examples = Examples(whole, np.zeros(whole.num_rows), whole.column("event_timestamp").to_numpy())
    return Evidence(
        use_case=use_case,
        candidate=candidate or make_candidate(),
        examples=examples,
        test=test,
        model=None,  # type: ignore[arg-type]
        own=own if isinstance(own, Predictions) else predictions(use_case, labels, own),
        champion=None if theirs is None else make_champion(),
        theirs=theirs if theirs is None or isinstance(theirs, Predictions) else predictions(use_case, labels, theirs),
    )


def make_card(evidence: Evidence) -> PromotionCard:
    """Return the card of evidence."""
    checks, groups = run_checks(evidence)
    return PromotionCard(
        use_case=evidence.use_case.name,
        passed=all(check.passed for check in checks),
        checks=tuple(checks),
        candidate=evidence.candidate,
        champion=evidence.champion,
        comparison=evidence.comparison,
        segments=groups,
        metrics=evidence.own.metrics,
        champion_metrics=evidence.theirs.metrics if evidence.theirs else None,
        rows=len(evidence.test),
        window=("2013-04-08T00:00", "2013-04-14T23:59"),
        gates=evidence.use_case.gates.model_dump(mode="json"),
    )
