"""Model families: model.py's own, and those that MLForge brings with sound defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlforge.errors import SpecError, TrainingError
from mlforge.scoring.formats.lightgbm_trees import import_lightgbm
from mlforge.spec import UseCase
from mlforge.spec.module import load_model_module
from mlforge.spec.task import Task
from mlforge.training.plan import OWN, FitPlan

_ROUNDS = 600


def build_estimator(use_case: UseCase, plan: FitPlan) -> Any:
    """Return the unfitted estimator of a plan: model.py's `build_model`, or a family's with the plan's parameters.

    Raises:
        TrainingError: There is no such family, or it refuses its parameters.
        TerminalError: A library of the system is missing.
    """
    where = f"{use_case.name}, {'model.build_model' if plan.family == OWN else plan.family}"
    # Its classes are found by the name of their module, in each family that was fitted before too.
    module = load_model_module(use_case)
    try:
        if plan.family == OWN:
            return module.build_model(dict(plan.parameters))
        family = _family(use_case, plan.family)
        return family.build[use_case.task](use_case, dict(plan.parameters))
    except OSError as error:
        raise TrainingError(
            "the model's library cannot be loaded",
            where=where,
            evidence=[str(error)],
            hint="LightGBM needs the system's package libgomp1: apt-get install libgomp1"
            if "libgomp" in str(error)
            else "install what is missing",
        ) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise TrainingError(
            "the model cannot be built",
            where=where,
            evidence=[" ".join(str(error).split())[:300]],
            hint="correct it or training.parameters",
        ) from error


def family_space(use_case: UseCase, family: str, trial: Any) -> dict[str, Any]:
    """Return the parameters that a trial tries for a family, as `FitPlan.parameters` takes them.

    Args:
        use_case: Whose `model.search_space` is asked for the family `own`; `training.parameters` are not part of it.
        family: `own`, or one that MLForge brings. Its trials' parameters are named `<family>.<parameter>`, so that the
            families of one study stay apart.
        trial: Optuna's.

    Raises:
        SpecError: model.py has no `search_space`, or it gives no parameters by name.
        TrainingError: There is no such family.
    """
    if family != OWN:
        return _family(use_case, family).space(_Named(trial, family), use_case.task)
    path = str(use_case.folder / "model.py")
    search_space = getattr(load_model_module(use_case), "search_space", None)
    if not callable(search_space):
        raise SpecError(
            "the function `search_space` is missing", where=path, hint="write it, or leave `own` out of the families"
        )
    space = search_space(trial)
    if not isinstance(space, Mapping):
        raise SpecError(
            f"search_space returned {type(space).__name__}", where=path, hint="return parameter → value that is tried"
        )
    return dict(space)


@dataclass(frozen=True)
class _Named:
    """A trial whose parameters bear the family's name."""

    trial: Any
    family: str

    def real(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return float(self.trial.suggest_float(f"{self.family}.{name}", low, high, log=log))

    def whole(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return int(self.trial.suggest_int(f"{self.family}.{name}", low, high, log=log))


@dataclass(frozen=True)
class _Family:
    """How a family is built for each task, and what is tried of it."""

    build: Mapping[Task, Callable[[UseCase, dict[str, Any]], Any]]
    space: Callable[[_Named, Task], dict[str, Any]]


def _family(use_case: UseCase, name: str) -> _Family:
    if name not in _FAMILIES:
        raise TrainingError(
            f"there is no model family {name!r}", where=use_case.name, hint=f"there are: own, {', '.join(_FAMILIES)}"
        )
    return _FAMILIES[name]


def _stops_on(use_case: UseCase) -> str:
    """Return the error that a regression is stopped on: the gate's, else the mean absolute one."""
    return "rmse" if use_case.gates.metric == "rmse" else "mae"


def _xgboost_classifier(use_case: UseCase, given: dict[str, Any]) -> Any:
    from xgboost import XGBClassifier

    fixed = {"objective": "binary:logistic", "eval_metric": "logloss", "tree_method": "hist"}
    return XGBClassifier(**(fixed | _XGBOOST | given))


def _xgboost_regressor(use_case: UseCase, given: dict[str, Any]) -> Any:
    from xgboost import XGBRegressor

    fixed = {"objective": "reg:squarederror", "eval_metric": _stops_on(use_case), "tree_method": "hist"}
    return XGBRegressor(**(fixed | _XGBOOST | given))


_XGBOOST: dict[str, Any] = {
    "n_estimators": _ROUNDS,
    "learning_rate": 0.05,
    "max_depth": 5,
    "min_child_weight": 20,
    "subsample": 0.8,
    "colsample_bytree": 0.7,
    "reg_lambda": 5.0,
}


def _xgboost_space(trial: _Named, task: Task) -> dict[str, Any]:
    return {
        "learning_rate": trial.real("learning_rate", 0.02, 0.2, log=True),
        "max_depth": trial.whole("max_depth", 3, 9),
        "min_child_weight": trial.real("min_child_weight", 1, 200, log=True),
        "subsample": trial.real("subsample", 0.5, 1.0),
        "colsample_bytree": trial.real("colsample_bytree", 0.4, 1.0),
        "reg_lambda": trial.real("reg_lambda", 0.1, 50, log=True),
    }


def _lightgbm_classifier(use_case: UseCase, given: dict[str, Any]) -> Any:
    return import_lightgbm().LGBMClassifier(**({"objective": "binary", "metric": "binary_logloss"} | _LIGHTGBM | given))


def _lightgbm_regressor(use_case: UseCase, given: dict[str, Any]) -> Any:
    return import_lightgbm().LGBMRegressor(
        **({"objective": "regression", "metric": _stops_on(use_case)} | _LIGHTGBM | given)
    )


_LIGHTGBM: dict[str, Any] = {
    "n_estimators": _ROUNDS,
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_child_samples": 50,
    "subsample": 0.8,
    "subsample_freq": 1,
    "colsample_bytree": 0.7,
    "reg_lambda": 5.0,
}


def _lightgbm_space(trial: _Named, task: Task) -> dict[str, Any]:
    return {
        "learning_rate": trial.real("learning_rate", 0.02, 0.2, log=True),
        "num_leaves": trial.whole("num_leaves", 7, 127, log=True),
        "min_child_samples": trial.whole("min_child_samples", 5, 300, log=True),
        "subsample": trial.real("subsample", 0.5, 1.0),
        "colsample_bytree": trial.real("colsample_bytree", 0.4, 1.0),
        "reg_lambda": trial.real("reg_lambda", 0.1, 50, log=True),
    }


def _histogram_classifier(use_case: UseCase, given: dict[str, Any]) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(**(_HISTOGRAM | given))


def _histogram_regressor(use_case: UseCase, given: dict[str, Any]) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(**(_HISTOGRAM | given))


_HISTOGRAM: dict[str, Any] = {
    "max_iter": _ROUNDS,
    "learning_rate": 0.05,
    "max_leaf_nodes": 31,
    "min_samples_leaf": 50,
    "l2_regularization": 5.0,
}


def _histogram_space(trial: _Named, task: Task) -> dict[str, Any]:
    return {
        "learning_rate": trial.real("learning_rate", 0.02, 0.2, log=True),
        "max_leaf_nodes": trial.whole("max_leaf_nodes", 7, 127, log=True),
        "min_samples_leaf": trial.whole("min_samples_leaf", 5, 300, log=True),
        "l2_regularization": trial.real("l2_regularization", 0.1, 50, log=True),
        "max_features": trial.real("max_features", 0.4, 1.0),
    }


def _logistic_regression(use_case: UseCase, given: dict[str, Any]) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(**({"max_iter": 200} | given))


def _ridge(use_case: UseCase, given: dict[str, Any]) -> Any:
    from sklearn.linear_model import Ridge

    return Ridge(**given)


def _linear_space(trial: _Named, task: Task) -> dict[str, Any]:
    if task == "classification":
        return {"C": trial.real("C", 1e-3, 10, log=True)}
    return {"alpha": trial.real("alpha", 1e-2, 1e3, log=True)}


_FAMILIES: Mapping[str, _Family] = {
    "xgboost": _Family({"classification": _xgboost_classifier, "regression": _xgboost_regressor}, _xgboost_space),
    "lightgbm": _Family({"classification": _lightgbm_classifier, "regression": _lightgbm_regressor}, _lightgbm_space),
    "hist_gradient_boosting": _Family(
        {"classification": _histogram_classifier, "regression": _histogram_regressor}, _histogram_space
    ),
    "linear": _Family({"classification": _logistic_regression, "regression": _ridge}, _linear_space),
}
