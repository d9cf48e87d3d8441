"""What the checks look at: predictions of candidate and champion for the same test rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mlforge.errors import TrainingError
from mlforge.examples import Examples
from mlforge.metrics import Vector, measure_use_case, use_case_losses
from mlforge.refs import Candidate, Release
from mlforge.registry.comparison import Comparison, compare_losses
from mlforge.registry.resampling import Clusters, clusters_of
from mlforge.scoring import ScoringModel
from mlforge.spec import UseCase


@dataclass(frozen=True)
class Predictions:
    """What a model predicts for the test rows, measured.

    Attributes:
        scores: P(positive) or a value, shape (n_rows,).
        losses: Of the gates' metric, shape (n_rows,); empty where the scores cannot be used.
        metrics: Scores of the whole, by name; empty likewise.
        unusable: Why nothing can be measured of it; none when it can.
        lacking: Columns that the model takes and the rows do not have; they were scored as missing values.
    """

    scores: Vector
    losses: Vector
    metrics: dict[str, float]
    unusable: str | None = None
    lacking: tuple[str, ...] = ()

    @property
    def wrong(self) -> int:
        """How many scores are no finite numbers."""
        return int((~np.isfinite(self.scores)).sum())


@dataclass(frozen=True)
class Evidence:
    """All that the checks look at.

    Attributes:
        examples: The whole training set, oldest first.
        test: Its test rows.
        model: The candidate's model.
        own: What it predicts for the test rows.
        champion: Champion at this moment, None before the first.
        theirs: What the champion predicts for the same rows.
    """

    use_case: UseCase
    candidate: Candidate
    examples: Examples
    test: Examples
    model: ScoringModel
    own: Predictions
    champion: Release | None = None
    theirs: Predictions | None = None

    @cached_property
    def clusters(self) -> Clusters | None:
        """Which hour or day each test row is in, None where single rows are drawn."""
        return clusters_of(self.test.times, self.use_case.gates.resample)

    @property
    def units(self) -> int:
        """How many rows, hours or days there are to draw from."""
        return len(self.test) if self.clusters is None else int(self.clusters.max()) + 1

    @property
    def comparable(self) -> bool:
        """Whether candidate and champion can be compared row by row."""
        return self.theirs is not None and self.theirs.unusable is None and self.own.unusable is None

    @cached_property
    def comparison(self) -> Comparison | None:
        """Candidate and champion over all test rows, None where there is nothing to compare."""
        if self.theirs is None or not self.comparable or self.units < 2:
            return None
        return compare_losses(
            self.use_case.gates, challenger=self.own.losses, champion=self.theirs.losses, clusters=self.clusters
        )


def predict(use_case: UseCase, model: ScoringModel, test: Examples) -> Predictions:
    """Return what a model predicts for the test rows, measured.

    A column that the rows no longer have counts as missing in each row: so it would in serving, too.
    """
    held = set(test.table.column_names)
    known = [name for name in model.feature_names if name in held]
    lacking = tuple(name for name in model.feature_names if name not in held)
    columns = {**test.columns(known), **{name: [None] * len(test) for name in lacking}}
    scores = model.score(columns)
    wrong = int(_wrong(use_case, scores).sum())
    if wrong:
        kind = "probability" if use_case.task == "classification" else "number"
        why = f"the score is no {kind} for {wrong:,} of {len(test):,} rows"
        return Predictions(scores, scores[:0], {}, why, lacking)
    try:
        lost = use_case_losses(use_case, use_case.gates.metric, test.labels, scores)
        return Predictions(scores, lost, measure_use_case(use_case, test.labels, scores), lacking=lacking)
    except TrainingError as error:
        # A loss or a metric of the use case's own that is no number: a reason to refuse, with its evidence.
        return Predictions(scores, scores[:0], {}, "; ".join([error.what, *error.evidence[:2]]), lacking)


def _wrong(use_case: UseCase, scores: Vector) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    wrong = ~np.isfinite(scores)
    if use_case.task == "classification":
        with np.errstate(invalid="ignore"):
            wrong |= (scores < 0) | (scores > 1)
    return wrong
