"""Folds in the order of time: what a plan would have lost on days that came after those it was fitted on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mlforge.errors import TrainingError
from mlforge.examples import Examples, split_by_time
from mlforge.metrics import from_mean, use_case_losses
from mlforge.scoring import Calibration, Feature, LogOddsCalibration, Matrix, Predictor, Vector, raw_scores
from mlforge.spec import UseCase
from mlforge.training.calibration import Known, calibrate
from mlforge.training.encoded_columns import EncodedColumns, encode_once
from mlforge.training.estimators import Labelled, try_estimator
from mlforge.training.families import build_estimator
from mlforge.training.fold_days import FoldDays, fold_days
from mlforge.training.plan import FitPlan
from mlforge.training.weights import balance_shift, fit_weights


@dataclass(frozen=True)
class Fold:
    """One fold's rows, encoded: the oldest are fitted on, the next ones stop and calibrate, the newest are scored.

    Attributes:
        days: Which days those are.
        features: The columns that vary in the fitted rows, with the categories of these rows.
        train: The fitted rows.
        stopping: The rows that boosting is stopped on and the calibration is fitted on.
        asked: The rows that are scored, shape (n_asked, n_features).
        labels: Their labels, shape (n_asked,).
    """

    days: FoldDays
    features: tuple[Feature, ...]
    train: Labelled = field(repr=False)
    stopping: Labelled = field(repr=False)
    asked: Matrix = field(repr=False)
    labels: Vector = field(repr=False)

    def of(self, use_case: UseCase, chosen: Sequence[str]) -> Fold:
        """Return the fold with no other columns than the chosen ones; none chosen for all.

        Raises:
            TrainingError: None of them varies in the fitted rows.
        """
        places = [place for place, feature in enumerate(self.features) if not chosen or feature.name in chosen]
        if len(places) == len(self.features):
            return self
        if not places:
            raise TrainingError(
                f"every chosen column is constant in the rows {self.days.fitted}",
                where=use_case.name,
                evidence=chosen,
                hint="choose other columns, or use longer folds",
            )
        return Fold(
            self.days,
            tuple(self.features[place] for place in places),
            Labelled(self.train.matrix[:, places], self.train.labels, self.train.weights),
            Labelled(self.stopping.matrix[:, places], self.stopping.labels, self.stopping.weights),
            self.asked[:, places],
            self.labels,
        )


@dataclass(frozen=True)
class Folds:
    """The folds of a training set, encoded once for any number of plans.

    Attributes:
        folds: Oldest first.
        names: Columns that a plan may choose from.
    """

    folds: tuple[Fold, ...]
    names: tuple[str, ...]


def prepare_folds(use_case: UseCase, examples: Examples) -> Folds:
    """Return the folds of all rows before the test days, encoded once for any number of plans.

    A fold is a small copy of `fit_model`: its columns and categories are those of its fitted rows, the newest of the
    rows before its scored days (`training.validation_days`, a quarter of them at most) stop the boosting and fit the
    calibration, and its scored days take part in none of it. Stopping on the scored days would be cheaper by those
    rows, and would tell a loss that no model reaches on days that it has not seen.

    Without `training.cross_validation` there is one fold: fitted on the training days, scored on the validation days.

    Args:
        use_case: Says how many folds, and how long.
        examples: All of them; the test days are left out.

    Raises:
        TrainingError: Fewer days than the folds need, or labels that are all the same in a fold; it says which days.
    """
    parts = split_by_time(use_case, examples)
    known = parts["train"].followed_by(parts["validation"])
    columns = encode_once(use_case, known)
    end = parts["test"].times[0].astype("datetime64[D]")
    return Folds(
        tuple(_fold(use_case, known, columns, days) for days in fold_days(use_case, known.times, end)), columns.names
    )


def fold_losses(
    use_case: UseCase, folds: Folds, plan: FitPlan, *, on_fold: Callable[[int, float], None] | None = None
) -> list[float]:
    """Return the loss of `gates.metric` on each fold's scored days, oldest first.

    Args:
        use_case: Whose metric.
        folds: From `prepare_folds`.
        plan: What is fitted on each fold.
        on_fold: Called after each fold with its place, from 0, and its loss; what it raises ends the trial.

    Raises:
        TrainingError: The plan cannot be fitted, names a column that is gone, or has a loss that is no number.
    """
    gone = [name for name in plan.features if name not in folds.names]
    if gone:
        raise TrainingError(
            f"{len(gone)} of the {len(plan.features)} columns that were chosen for the model are gone",
            where=use_case.name,
            evidence=gone,
            hint="choose from the columns that there are",
        )
    found: list[float] = []
    for place, fold in enumerate(folds.folds):
        loss = fit_fold(use_case, fold.of(use_case, plan.features), plan).loss
        found.append(loss)
        if on_fold is not None:
            on_fold(place, loss)
    return found


@dataclass(frozen=True)
class FittedFold:
    """A plan, fitted on a fold.

    Attributes:
        fold: With the columns that the plan takes.
        predictor: The fitted model.
        loss: Loss of `gates.metric` on the scored rows.
        loss_of: The same for other values of these rows, shape (n_asked, n_features).
    """

    fold: Fold = field(repr=False)
    predictor: Predictor = field(repr=False)
    loss: float
    loss_of: Callable[[Matrix], float] = field(repr=False)


def fit_fold(use_case: UseCase, fold: Fold, plan: FitPlan) -> FittedFold:
    """Return a plan fitted on a fold's columns, calibrated and scored.

    Raises:
        TrainingError: The plan cannot be fitted, or has a loss that is no number.
    """
    metric = use_case.gates.metric
    fit = try_estimator(
        use_case, build_estimator(use_case, plan), fold.features, train=fold.train, validation=fold.stopping
    )
    calibration = _calibration(use_case, fold, raw_scores(fit.predictor, fold.stopping.matrix, use_case.task))

    def loss_of(matrix: Matrix) -> float:
        scores = calibration.scores(raw_scores(fit.predictor, matrix, use_case.task))
        return float(from_mean(metric, use_case_losses(use_case, metric, fold.labels, scores).mean()))

    return FittedFold(fold, fit.predictor, loss_of(fold.asked), loss_of)


def _fold(use_case: UseCase, known: Examples, columns: EncodedColumns, days: FoldDays) -> Fold:
    rows = days.rows(known.times)
    for what, chosen in rows.items():
        _require_labels(use_case, known, chosen, f"the rows {what} {getattr(days, what)}")
    features, (train, stopping, asked) = columns.fold(rows["fitted"], [rows["stopping"], rows["scored"]])
    return Fold(
        days=days,
        features=tuple(features),
        train=_labelled(use_case, known, rows["fitted"], train),
        stopping=_labelled(use_case, known, rows["stopping"], stopping),
        asked=asked,
        labels=known.labels[rows["scored"]],
    )


def _labelled(use_case: UseCase, known: Examples, rows: slice, matrix: Matrix) -> Labelled:
    part = known.slice(rows)
    return Labelled(matrix, part.labels, fit_weights(use_case, part))


def _require_labels(use_case: UseCase, known: Examples, rows: slice, which: str) -> None:
    labels = known.labels[rows]
    if len(labels) == 0:
        problem = "do not exist"
    elif (labels == labels[0]).all():
        problem = f"have one {'class' if use_case.task == 'classification' else 'label'} only"
    else:
        return
    raise TrainingError(
        f"{which} {problem}",
        where=f"{use_case.name}, training.cross_validation",
        evidence=[f"{len(labels)} rows"],
        hint="raise training.window_days or cross_validation.days, or lower cross_validation.folds",
    )


def _calibration(use_case: UseCase, fold: Fold, margins: Vector) -> Calibration:
    try:
        return calibrate(use_case, Known(margins, fold.stopping.labels, fold.train.labels))
    except TrainingError:
        # A trial that is no better than chance is a bad one, no reason to end the search.
        return LogOddsCalibration(offset=-balance_shift(use_case, fold.train.labels))
