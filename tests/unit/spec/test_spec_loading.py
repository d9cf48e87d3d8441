from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mlforge.errors import SpecError
from mlforge.settings import get_settings
from mlforge.spec import UseCase, load_use_case
from mlforge.spec.loading import read_use_case


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped use case."""
    return Path(shutil.copytree(get_settings().use_cases_dir / "flight_delays", tmp_path / "flight_delays"))


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_shipped_use_case_loads_with_its_contracts(flight_delays: UseCase) -> None:
    assert list(flight_delays.datasets) == ["flights", "weather", "planes"]
    assert flight_delays.contract("flights").key == ["carrier", "flight", "origin", "dest", "time_hour", "minute"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("owner:", "ownr:", r"the key `owner` is missing|unknown key `ownr`"),
        ("  window_days: 90", "  window_dys: 90", r"unknown key `training.window_dys` → did you mean 'window_days'"),
        ("partition_column: time_hour", "partition_colum: time_hour", r"partition_colum`.*'partition_column'"),
        (
            "partition_column: time_hour",
            "partition_column: time_hou",
            r"unknown column 'time_hou' → did you mean 'time_h",
        ),
        ("quarantine_up_to: 0.01", "quarantine_up_to: 1.5", r"`datasets.flights.policy.quarantine_up_to`"),
        ("contracts/flights.yaml", "contracts/flight.yaml", r"contracts/flight.yaml does not exist"),
        ("spine: spine.sql", "spine: spin.sql", r"the file spin.sql is missing"),
        ("name: flight_delays", "name: flight_delay", r"`name` is 'flight_delay', the folder is 'flight_delays'"),
        ("name: flight_delays", "name: [flight", r"no YAML"),
    ],
)
def test_one_wrong_thing_is_one_error_that_names_it(folder: Path, old: str, new: str, message: str) -> None:
    rewrite(folder / "use_case.yaml", old, new)
    with pytest.raises(SpecError, match=message) as raised:
        read_use_case(folder)
    assert str(folder) in str(raised.value)


def test_a_missing_feature_file_is_an_error(folder: Path) -> None:
    (folder / "features" / "weather.sql").unlink()
    with pytest.raises(SpecError, match=r"features/weather.sql is missing"):
        read_use_case(folder)


def test_a_use_case_that_is_not_there_is_an_error_with_the_nearest_one() -> None:
    with pytest.raises(SpecError, match="did you mean 'flight_delays'"):
        load_use_case("flight_delay")
