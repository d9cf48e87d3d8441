"""What `task` lets use_case.yaml say, and what holds where it says nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mlforge.errors import SpecError
from mlforge.settings import get_settings
from mlforge.spec import UseCase, load_use_case
from mlforge.spec.loading import read_use_case


def changed(folder: Path, name: str, section: str, values: dict[str, Any]) -> UseCase:
    """Return a shipped use case with other values in one section; None takes a key away."""
    shipped = get_settings().use_cases_dir / name
    document = yaml.safe_load((shipped / "use_case.yaml").read_text(encoding="utf-8"))
    merged = {**document[section], **values}
    document[section] = {key: value for key, value in merged.items() if value is not None}
    copy = folder / name
    copy.mkdir()
    for path in shipped.iterdir():
        if path.name != "use_case.yaml":
            (copy / path.name).symlink_to(path)
    (copy / "use_case.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return read_use_case(copy)


def test_the_shipped_regression_loads() -> None:
    use_case = load_use_case("household_spend")
    assert (use_case.task, use_case.gates.metric, use_case.prediction.labels) == ("regression", "mae", [])
    assert use_case.gates.maximum_calibration_error is None
    assert use_case.schedule.step_days == 7


def test_defaults_are_those_of_the_task(tmp_path: Path) -> None:
    few = {"metric": None, "beat_baselines": None, "maximum_relative_bias": None}
    gates = changed(tmp_path, "household_spend", "gates", few).gates
    assert (gates.metric, gates.beat_baselines, gates.maximum_relative_bias) == ("mae", ["mean"], 0.1)
    few = {"metric": None, "beat_baselines": None, "maximum_calibration_error": None}
    gates = changed(tmp_path, "flight_delays", "gates", few).gates
    assert (gates.metric, gates.beat_baselines) == ("log_loss", ["base_rate"])
    assert (gates.maximum_calibration_error, gates.maximum_relative_bias) == (0.05, None)


@pytest.mark.parametrize(
    ("name", "section", "values", "message"),
    [
        ("household_spend", "gates", {"metric": "log_loss"}, r"'log_loss' is no score of a regression.*mae"),
        ("flight_delays", "gates", {"metric": "rmse"}, r"'rmse' is no score of a classification.*log_loss"),
        ("household_spend", "gates", {"beat_baselines": ["base_rate"]}, r"'base_rate' is no baseline of a regression"),
        ("flight_delays", "gates", {"beat_baselines": ["mean"]}, r"'mean' is no baseline of a classification"),
        ("household_spend", "gates", {"maximum_calibration_error": 0.1}, r"is a limit of a classification"),
        ("flight_delays", "gates", {"maximum_relative_bias": 0.1}, r"is a limit of a regression"),
        ("household_spend", "gates", {"non_inferiority_margin": None}, r"margin is missing.*unit"),
        ("household_spend", "training", {"last_value": None}, r"training.last_value names no column"),
        ("flight_delays", "training", {"last_value": "x"}, r"last_value is for a regression"),
        ("household_spend", "prediction", {"labels": ["no", "yes"]}, r"labels are for a classification"),
        ("flight_delays", "prediction", {"labels": ["late"]}, r"names of two classes"),
        ("flight_delays", "prediction", {"unit": "minutes"}, r"unit is for a regression"),
    ],
)
def test_what_belongs_to_another_task_is_an_error(
    tmp_path: Path, name: str, section: str, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        changed(tmp_path, name, section, values)
    assert "``" not in str(caught.value)
    assert "Value error" not in str(caught.value)
