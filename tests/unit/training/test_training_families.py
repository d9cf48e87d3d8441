from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import optuna
import pytest

from mlforge.errors import SpecError, TerminalError, TrainingError
from mlforge.examples import Examples, split_by_time
from mlforge.metrics import measure
from mlforge.spec.module import load_model_module
from mlforge.training.families import build_estimator, family_space
from mlforge.training.fitting import FittedModel, fit_model
from mlforge.training.plan import FitPlan
from model_examples import small, small_examples, small_flights

FAMILIES = ("xgboost", "lightgbm", "hist_gradient_boosting", "linear")
FORMATS = {"xgboost": "xgboost", "lightgbm": "lightgbm", "hist_gradient_boosting": "sklearn", "linear": "sklearn"}
QUICK: dict[str, dict[str, Any]] = {
    "xgboost": {"n_estimators": 60},
    "lightgbm": {"n_estimators": 60},
    "hist_gradient_boosting": {"max_iter": 60},
    "linear": {},
}


@pytest.fixture(scope="module")
def examples() -> Examples:
    return small_examples()


@pytest.fixture(scope="module", params=FAMILIES)
def fitted(request: pytest.FixtureRequest, examples: Examples) -> FittedModel:
    return fit_model(small_flights(), examples, FitPlan(request.param, QUICK[request.param]))


def test_a_family_learns_and_promises_what_holds(fitted: FittedModel, examples: Examples) -> None:
    use_case = small_flights()
    test = split_by_time(use_case, examples)["test"]
    model = fitted.scoring_model(use_case)
    scores = model.score(test.columns(model.feature_names))
    measured = measure("classification", test.labels, scores)
    base = measure("classification", test.labels, np.full(len(test), examples.labels.mean()))
    assert measured["auc"] > 0.65
    assert measured["log_loss"] < base["log_loss"]
    assert fitted.description.format == FORMATS[fitted.plan.family]
    most = max(fitted.fitted.importance, key=fitted.fitted.importance.__getitem__)
    assert most in {"carrier", "weather__temp", "sched_hour", "dest"}


def test_the_same_rows_give_the_same_bytes(fitted: FittedModel, examples: Examples) -> None:
    again = fit_model(small_flights(), examples, fitted.plan)
    assert again.fitted.content == fitted.fitted.content
    assert again.content_hash == fitted.content_hash


def test_a_row_alone_has_the_bits_that_it_has_among_others(fitted: FittedModel, examples: Examples) -> None:
    model = fitted.scoring_model(small_flights())
    matrix = model.encode(examples.columns(model.feature_names))[:300]
    matrix[::9, 0] = np.nan
    together = model.predict(matrix)
    alone = np.array([model.predict(matrix[row : row + 1])[0] for row in range(len(matrix))])
    assert together.tobytes() == alone.tobytes()


def test_contributions_add_up_to_the_score(fitted: FittedModel, examples: Examples) -> None:
    model = fitted.scoring_model(small_flights())
    matrix = model.encode(examples.columns(model.feature_names))[:100]
    parts = model.predictor.contributions(matrix)
    if fitted.plan.family == "hist_gradient_boosting":
        assert parts is None
        return
    assert parts is not None
    assert parts.shape == (100, len(model.features) + 1)
    assert parts.sum(axis=1) == pytest.approx(model.predictor.raw_scores(matrix, "classification"), abs=1e-4)


def test_trees_stop_at_their_best_round(fitted: FittedModel) -> None:
    if fitted.plan.family == "linear":
        assert fitted.fitted.rounds is None
        return
    curve = np.array(fitted.fitted.curve)
    assert fitted.fitted.rounds == int(curve.argmin()) + 1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_predicts_values(family: str) -> None:
    from mlforge.spec import load_use_case

    examples = small_examples()
    spend = small(load_use_case("household_spend"), validation_days=10, test_days=7, last_value=None)
    generator = np.random.default_rng(3)
    habit = generator.gamma(2, 30, len(examples))
    import pyarrow as pa

    table = pa.table({"day_of_month": examples.table["sched_hour"], "spending__spend_1w": habit})
    labels = habit * 0.8 + generator.normal(0, 5, len(habit))
    numbers = Examples(table, labels, examples.times)
    model = fit_model(spend, numbers, FitPlan(family, QUICK[family])).scoring_model(spend)
    assert measure("regression", labels, model.score(numbers.columns(model.feature_names)))["r2"] > 0.8


def test_each_space_can_be_built_and_its_names_stay_apart() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trial = study.ask()
    spaces = {family: family_space(small_flights(), family, trial) for family in FAMILIES}
    assert all(name.split(".")[0] in FAMILIES for name in trial.params)
    assert len(trial.params) == sum(len(space) for space in spaces.values())
    for family, space in spaces.items():
        assert space.items() <= build_estimator(small_flights(), FitPlan(family, space)).get_params().items()


def test_the_own_space_is_that_of_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    use_case = small_flights()
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    assert {"max_depth", "learning_rate"} <= set(family_space(use_case, "own", trial))
    module = load_model_module(use_case)
    monkeypatch.setattr(module, "search_space", lambda trial: {})
    assert family_space(use_case, "own", trial) == {}
    monkeypatch.setattr(module, "search_space", lambda trial: ["max_depth"])
    with pytest.raises(SpecError, match="search_space returned list"):
        family_space(use_case, "own", trial)
    monkeypatch.delattr(module, "search_space")
    with pytest.raises(SpecError, match="`search_space` is missing"):
        family_space(use_case, "own", trial)


def test_what_a_family_refuses_is_said(examples: Examples) -> None:
    with pytest.raises(TrainingError, match="there is no model family 'forest'"):
        build_estimator(small_flights(), FitPlan("forest", {}))
    with pytest.raises(TrainingError, match=r"linear: the model cannot be built .*depth"):
        build_estimator(small_flights(), FitPlan("linear", {"depth": 3}))


def test_a_missing_library_of_the_system_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_openmp(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "lightgbm":
            raise OSError("libgomp.so.1: cannot open shared object file: No such file or directory")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_openmp)
    with pytest.raises(TerminalError, match=r"libgomp\.so\.1.*install the package libgomp1"):
        build_estimator(small_flights(), FitPlan("lightgbm", {}))
    monkeypatch.setattr(
        load_model_module(small_flights()), "build_model", lambda params: __import__("lightgbm").LGBMClassifier()
    )
    with pytest.raises(TerminalError, match="apt-get install libgomp1"):
        build_estimator(small_flights(), FitPlan("own", {}))
