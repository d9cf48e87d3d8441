"""Which columns earn their place: measured on rows that the model has not seen, and proven on the folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlforge.examples import load_examples
from mlforge.refs import TrainingSet
from mlforge.scoring import Vector
from mlforge.spec import UseCase
from mlforge.training.cross_validation import FittedFold, Folds, fit_fold, fold_losses, prepare_folds
from mlforge.training.plan import FitPlan

_SEED = 20130101
_REPEATS = 3
# Contributions of trees are slow to compute; the mean over so many rows hardly differs from that over all.
_SHAP_ROWS = 5000


@dataclass(frozen=True)
class Selection:
    """What was selected.

    Attributes:
        features: The columns that the model takes; none for all.
        value: Mean loss over the folds with these columns.
        importance: Column → its importance, largest first: loss that its values save, or mean absolute SHAP value.
        notes: In words, what was found.
    """

    features: tuple[str, ...]
    value: float
    importance: dict[str, float]
    notes: tuple[str, ...]


def select_features(use_case: UseCase, training_set: TrainingSet, plan: FitPlan) -> Selection:
    """Return the columns that together hold `training.select_features.keep` of the importance, if they are enough.

    The smaller set is used only if its losses on the folds are no worse than those of all columns by more than the
    standard error of the differences.

    Args:
        use_case: Says how to select.
        training_set: Its rows before the test days are used.
        plan: What is fitted.

    Raises:
        TrainingError: The plan cannot be fitted.
    """
    settings = use_case.training.select_features
    if settings is None:
        raise ValueError("training.select_features is not set")
    folds = prepare_folds(use_case, load_examples(use_case, training_set))
    fitted = [fit_fold(use_case, fold, plan) for fold in folds.folds]
    before = np.array([each.loss for each in fitted])
    importance, method = _importance(folds, fitted, settings.method)
    chosen = keep_share(importance, share=settings.keep, most=settings.maximum_features)
    notes = [f"importance by {method}: {_listed(importance)}"]
    whole = Selection((), float(before.mean()), importance, ())
    if len(chosen) == len(folds.names):
        return _with(whole, notes, f"all {len(chosen)} columns are needed for {settings.keep:.0%} of the importance")
    # In the order of the training set's columns: the order of the model's columns is part of the model.
    features = tuple(name for name in folds.names if name in chosen)
    after = np.array(fold_losses(use_case, folds, FitPlan(plan.family, plan.parameters, features)))
    told = f"{len(features)} of {len(folds.names)} columns: mean loss {after.mean():.6f}, with all {before.mean():.6f}"
    if not _no_worse(before, after):
        return _with(whole, notes, f"{told}; that is worse by more than a standard error: all columns stay")
    left_out = ", ".join(name for name in folds.names if name not in chosen)
    return _with(Selection(features, float(after.mean()), importance, ()), notes, f"{told}; left out are {left_out}")


def keep_share(importance: dict[str, float], *, share: float, most: int | None = None) -> list[str]:
    """Return the most important columns that together hold a share of the whole importance; at least one.

    Args:
        importance: Column → importance; what is below zero earns nothing.
        share: Of the sum.
        most: No more columns than that.
    """
    order = sorted(importance, key=lambda name: (-importance[name], name))
    gains = np.array([max(0.0, importance[name]) for name in order])
    total = gains.sum()
    if total <= 0:
        return order[:most]
    # A rounding error must not keep columns that earn nothing.
    enough = int(np.searchsorted(np.cumsum(gains), share * total * (1 - 1e-12))) + 1
    return order[: min(enough, most or enough)]


def _with(selection: Selection, notes: Sequence[str], last: str) -> Selection:
    return Selection(selection.features, selection.value, selection.importance, (*notes, last))


def _no_worse(before: Vector, after: Vector) -> bool:
    differences = after - before
    error = differences.std(ddof=1) / np.sqrt(len(differences)) if len(differences) > 1 else 0.0
    return bool(differences.mean() <= error)


def _importance(folds: Folds, fitted: Sequence[FittedFold], method: str) -> tuple[dict[str, float], str]:
    """Return column → importance, largest first, and how it was measured; a column constant in a fold earns nothing."""
    sums = dict.fromkeys(folds.names, 0.0)
    told = "permutation"
    measured = [_shap(each) for each in fitted] if method == "shap" else []
    if method == "shap":
        told = "SHAP" if None not in measured else "permutation, for this family gives no SHAP values"
    if told != "SHAP":
        measured = [_permutation(each) for each in fitted]
    for found in measured:
        for name, value in (found or {}).items():
            sums[name] += value / len(fitted)
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0]))), told


def _permutation(fitted: FittedFold) -> dict[str, float]:
    """Return column → how much larger the loss of the fold's scored rows is when its values are shuffled."""
    random = np.random.default_rng(_SEED)
    found, matrix = {}, fitted.fold.asked.copy()
    for place, feature in enumerate(fitted.fold.features):
        kept = matrix[:, place].copy()
        losses = []
        for _ in range(_REPEATS):
            matrix[:, place] = random.permutation(kept)
            losses.append(fitted.loss_of(matrix))
        matrix[:, place] = kept
        found[feature.name] = float(np.mean(losses)) - fitted.loss
    return found


def _shap(fitted: FittedFold) -> dict[str, float] | None:
    """Return column → mean absolute SHAP value over the fold's scored rows; None where the family has none."""
    rows = fitted.fold.asked
    if len(rows) > _SHAP_ROWS:
        rows = rows[np.sort(np.random.default_rng(_SEED).choice(len(rows), _SHAP_ROWS, replace=False))]
    values = fitted.predictor.contributions(rows)
    if values is None:
        return None
    means = np.abs(values[:, :-1]).mean(axis=0)
    return {feature.name: float(mean) for feature, mean in zip(fitted.fold.features, means, strict=True)}


def _listed(importance: dict[str, float], *, most: int = 10) -> str:
    shown = ", ".join(f"{name} {value:.4g}" for name, value in list(importance.items())[:most])
    return shown if len(importance) <= most else f"{shown}, and {len(importance) - most} more"
