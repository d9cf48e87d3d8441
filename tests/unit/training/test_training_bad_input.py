"""What training says of data that cannot give a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlforge.errors import SpecError, TrainingError
from mlforge.examples import Examples, _labels
from mlforge.metrics import measure_use_case, use_case_losses
from mlforge.training.fitting import fit_model
from mlforge.training.plan import FitPlan
from model_examples import own_use_case, small_examples, small_flights, with_column

LOSSES = """
import numpy as np


def double_error(labels, scores):
    return 2 * np.abs(labels - scores)


def late_share(labels, scores):
    return float((scores > 0.5).mean())


def broken(labels, scores):
    raise ZeroDivisionError("no flights")


def not_a_number(labels, scores):
    return np.where(labels > 0, np.nan, 0.0)


def endless(labels, scores):
    return float("inf")


def one_too_few(labels, scores):
    return labels[1:]


def changes_what_it_is_given(labels, scores):
    labels[:] = 0
    scores[:] = 0
    return 1.0
"""


@pytest.fixture(scope="module")
def examples() -> Examples:
    return small_examples()


def test_one_class_is_refused(examples: Examples) -> None:
    same = Examples(examples.table, np.ones(len(examples)), examples.times)
    with pytest.raises(TrainingError, match=r"the train rows have one class only \(\d+ rows from 2013-01-01"):
        fit_model(small_flights(), same)


def test_a_constant_target_is_refused(examples: Examples) -> None:
    use_case = small_flights().model_copy(update={"task": "regression"})
    same = Examples(examples.table, np.full(len(examples), 7.5), examples.times)
    with pytest.raises(TrainingError, match="the train rows have one label only"):
        fit_model(use_case, same)


def test_a_feature_that_was_chosen_and_is_gone_is_named(examples: Examples) -> None:
    plan = FitPlan("own", small_flights().training.parameters, ("carrier", "weather__pressure"))
    with pytest.raises(TrainingError, match=r"1 of the 2 columns .* are gone \(weather__pressure\)"):
        fit_model(small_flights(), examples, plan)


def test_a_feature_that_the_model_takes_and_is_gone_is_named(examples: Examples) -> None:
    use_case = small_flights()
    model = fit_model(use_case, examples).scoring_model(use_case)
    later = Examples(examples.table.drop_columns(["weather__temp"]), examples.labels, examples.times)
    with pytest.raises(TrainingError, match=r"lacks columns that the model takes \(weather__temp\)"):
        later.columns(model.feature_names)


def test_an_infinite_value_is_missing_and_told(examples: Examples) -> None:
    temp = np.array(examples.columns(["weather__temp"])["weather__temp"], dtype=float)
    endless, missing = temp.copy(), temp.copy()
    endless[[5, 50, 500]], missing[[5, 50, 500]] = [np.inf, -np.inf, 1e300], np.nan
    use_case = small_flights()
    fitted = fit_model(use_case, with_column(examples, "weather__temp", endless))
    assert fitted.infinite == {"weather__temp": 3}
    without = fit_model(use_case, with_column(examples, "weather__temp", missing))
    assert without.infinite == {}
    assert fitted.content_hash == without.content_hash


@pytest.mark.parametrize("wrong", [np.inf, np.nan])
def test_an_infinite_label_is_refused(monkeypatch: pytest.MonkeyPatch, wrong: float) -> None:
    from mlforge.spec.module import load_model_module

    use_case = small_flights().model_copy(update={"task": "regression"})
    monkeypatch.setattr(load_model_module(use_case), "label", lambda outcome: [1.0, wrong])
    with pytest.raises(TrainingError, match=r"labels are no finite numbers .*(inf|nan)"):
        _labels(use_case, {"arr_delay": [1.0, 2.0]}, "here")


def test_own_losses_and_metrics_are_told_everywhere(tmp_path: Path, examples: Examples) -> None:
    use_case = own_use_case(tmp_path, LOSSES, losses=["double_error"], metrics=["late_share"])
    labels, scores = np.array([0.0, 1.0, 1.0, 0.0]), np.array([0.25, 0.75, 0.5, 0.0])
    measured = measure_use_case(use_case, labels, scores)
    assert measured["double_error"] == pytest.approx(0.5)
    assert measured["late_share"] == 0.25
    assert {"log_loss", "brier", "auc", "ece"} <= set(measured)
    assert use_case_losses(use_case, "double_error", labels, scores).tolist() == [0.5, 0.5, 1.0, 0.0]
    fitted = fit_model(use_case, examples)
    assert {"train_double_error", "validation_double_error", "validation_late_share"} <= set(fitted.metrics)


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("metrics", "endless", "the metric 'endless' is inf"),
        ("metrics", "broken", r"model.broken fails .*ZeroDivisionError"),
        ("metrics", "one_too_few", r"model.one_too_few returned \(1,\)"),
        (
            "losses",
            "not_a_number",
            r"the loss 'not_a_number' is no finite number in 1 of 2 rows \(label 1.0, score 0.5\)",
        ),
        ("losses", "one_too_few", r"model.one_too_few returned \(1,\) for 2 rows"),
    ],
)
def test_a_metric_that_is_no_number_is_named(tmp_path: Path, kind: str, name: str, said: str) -> None:
    use_case = own_use_case(tmp_path, LOSSES, **{kind: [name]})
    with pytest.raises(TrainingError, match=said):
        measure_use_case(use_case, np.array([0.0, 1.0]), np.array([0.5, 0.5]))


def test_a_metric_cannot_change_what_is_measured(tmp_path: Path) -> None:
    use_case = own_use_case(tmp_path, LOSSES, metrics=["changes_what_it_is_given", "late_share"])
    labels, scores = np.array([0.0, 1.0]), np.array([0.9, 0.9])
    assert measure_use_case(use_case, labels, scores)["late_share"] == 1.0
    assert labels.tolist() == [0.0, 1.0]


def test_a_function_that_is_missing_is_named(tmp_path: Path) -> None:
    use_case = own_use_case(tmp_path, LOSSES, metrics=["late_shar"])
    with pytest.raises(
        SpecError, match=r"names the function 'late_shar', which is missing .*did you mean 'late_share'"
    ):
        measure_use_case(use_case, np.array([0.0, 1.0]), np.array([0.5, 0.5]))
