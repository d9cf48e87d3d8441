"""What trials try: the plans that use_case.yaml says, and those out of the search spaces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from mlforge.errors import MLForgeError, SpecError, TrainingError
from mlforge.spec.search import Search
from mlforge.training.search.spaces import require_spaces, suggest_plan, waiting_defaults
from mlforge.training.search.storage import quiet_optuna
from search_cases import FEW_TREES, small_use_case


def a_trial(default: str | None = None) -> Any:
    with quiet_optuna():
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.enqueue_trial({}, user_attrs={} if default is None else {"default": default})
    return study.ask()


def test_parameters_that_the_space_does_not_name_stay() -> None:
    plan = suggest_plan(small_use_case(), a_trial())
    assert plan.family == "own"
    assert plan.parameters["n_estimators"] == FEW_TREES["n_estimators"]
    assert plan.parameters["max_depth"] >= 3
    assert "reg_lambda" in plan.parameters


def test_the_default_trial_fits_what_use_case_yaml_says_and_nothing_else() -> None:
    trial = a_trial("own")
    assert suggest_plan(small_use_case(), trial).parameters == FEW_TREES
    assert trial.params == {}


def test_the_sampler_learns_from_the_defaults_that_lie_in_the_space() -> None:
    [waiting] = waiting_defaults(small_use_case(parameters={**FEW_TREES, "max_depth": 50, "subsample": 0.9}))
    assert waiting.params == {"learning_rate": 0.2, "subsample": 0.9}
    assert waiting.user_attrs == {"default": "own"}


def test_each_family_begins_with_its_own_values_and_is_suggested_with_its_own_space() -> None:
    use_case = small_use_case(search=Search(families=["own", "lightgbm", "own"]))
    assert [trial.params["family"] for trial in waiting_defaults(use_case)] == ["own", "lightgbm"]
    assert suggest_plan(use_case, a_trial("lightgbm")).parameters == {}
    seen = set()
    with quiet_optuna():
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(12):
        trial = study.ask()
        plan = suggest_plan(use_case, trial)
        assert plan.family == trial.params["family"]
        assert ("n_estimators" in plan.parameters) == (plan.family == "own")
        seen.add(plan.family)
    assert seen == {"own", "lightgbm"}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("def search_space(trial):\n    return {}", "the search space is empty"),
        ("def search_space(trial):\n    return {'max_depth': 3}", "the search space is empty"),
        ("def search_space(trial):\n    return {'a': trial.suggest_int('a', 3, 3)}", "the search space is empty"),
        ("def search_space(trial):\n    return None", "NoneType"),
        ("def search_space(trial):\n    return trial.suggest_real('a', 0, 1)", "cannot be asked"),
        ("search_space = None", "`search_space` is missing"),
    ],
)
def test_a_space_without_anything_to_try_is_refused(tmp_path: Path, model: str, message: str) -> None:
    with pytest.raises(MLForgeError, match=message) as raised:
        require_spaces(small_use_case(tmp_path, f"\n\n{model}\n"))
    assert isinstance(raised.value, SpecError)
    assert raised.value.hint
    assert "model.py" in str(raised.value)


def test_a_value_that_no_file_can_hold_is_refused(tmp_path: Path) -> None:
    model = "\n\ndef search_space(trial):\n    trial.suggest_int('a', 1, 3)\n    return {'a': object()}\n"
    with pytest.raises(TrainingError, match="a: object"):
        suggest_plan(small_use_case(tmp_path, model), a_trial())
