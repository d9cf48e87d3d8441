"""A use case is scaffolded from data that no shipped use case has, and runs through every stage up to its bento."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import psycopg
import pytest
from typer.testing import CliRunner

from mlforge import stages
from mlforge.cli.main import build_app
from mlforge.features import apply_features, close_store
from mlforge.ingest.source import source_uri
from mlforge.refs import PublishedPartition, Release
from mlforge.serving.request_model import request_model
from mlforge.serving.smoke import _json_value, newest_rows_of_training_set
from mlforge.settings import Settings, get_settings
from mlforge.spec import UseCase, load_use_case
from mlforge.spec.module import load_model_module
from mlforge.stages import StageRun
from scaffold_roots import REPOSITORY, own_root

pytestmark = pytest.mark.integration

CHAINS = ("data", "monitoring", "refresh", "release", "training", "walk_forward")
_PARSE = """
import json
from airflow.dag_processing.dagbag import DagBag
bag = DagBag({folder!r}, bundle_path={folder!r})
assert not bag.import_errors, bag.import_errors
print(json.dumps(sorted(bag.dags)))
"""


@pytest.fixture(scope="module")
def root(
    module_database: Settings, mlflow_server: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    with own_root(tmp_path_factory.mktemp("checkout")) as folder:
        try:
            yield folder
        finally:
            close_store()


@functools.cache
def trips() -> pd.DataFrame:
    """Some carriers' flights from Newark in six weeks of 2013, some columns of them, and whether they were late."""
    flights = pd.read_csv(source_uri(_flights()), dtype=str, keep_default_na=False)
    chosen = flights[(flights["origin"] == "EWR") & flights["carrier"].isin(["UA", "EV", "B6"])]
    chosen = chosen[(chosen["time_hour"] >= "2013-04-01") & (chosen["time_hour"] < "2013-05-13")]
    chosen = chosen[["time_hour", "carrier", "flight", "dest", "distance", "arr_delay"]].reset_index(drop=True)
    delay = pd.to_numeric(chosen["arr_delay"].replace("NA", None))
    chosen["late"] = (delay > 15).map({True: "true", False: "false"}).where(delay.notna(), "NA")
    return chosen


def _flights() -> object:
    import yaml

    from mlforge.spec.sources import FileSource

    text = (REPOSITORY / "include/use_cases/flight_delays/use_case.yaml").read_text(encoding="utf-8")
    path = yaml.safe_load(text)["datasets"]["flights"]["source"]["path"]
    return FileSource(kind="file", path=path)


def scaffold(*arguments: str) -> str:
    """Return what `mlforge init` prints."""
    result = CliRunner().invoke(build_app(), ["init", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def publish(use_case: UseCase) -> tuple[StageRun, PublishedPartition]:
    """Return the run over the whole schedule, and what was published."""
    assert use_case.schedule.end is not None
    days = use_case.partitions(f"{use_case.schedule.start}..{use_case.schedule.end}")
    run = StageRun(use_case=use_case, days=days, dataset=next(iter(use_case.datasets)), who="ann", why="a test")
    return run, stages.publish(run, stages.check(run, stages.extract(run)))


def release(run: StageRun) -> Release:
    """Return the release that the chain makes of published data, packaged."""
    stages.materialize(run, stages.build_features(run))
    newest = replace(run, days=run.use_case.partitions(run.days.last_key))
    candidate = stages.evaluate(newest, stages.train(newest, stages.assemble(newest)))
    decision = stages.gate(newest, candidate)
    assert decision.passed, decision.reasons
    stages.promote(newest, decision)
    return stages.package(newest)


def require_answerable(use_case: UseCase, made: Release) -> None:
    """Check that rows of the training set are requests that the release's server takes."""
    model = request_model("Request", use_case.prediction.request)
    derive = load_model_module(use_case).derive
    rows = newest_rows_of_training_set(made, 200)
    assert len(rows) == 200
    for row in rows:
        given = {name: _json_value(row[name]) for name in use_case.prediction.request}
        body = json.dumps({name: value for name, value in given.items() if value is not None})
        request = model.model_validate_json(body).values_by_name()
        derived = derive({name: [value] for name, value in request.items()})
        assert set(derived) == set(use_case.prediction.derived)


def dag_ids(root: Path, tmp_path: Path) -> list[str]:
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    environment |= {"AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins")}
    code = _PARSE.format(folder=str(root / "dags"))
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def require_clean(root: Path) -> None:
    """Check that ruff has nothing to say about what was generated."""
    config = ["--config", str(REPOSITORY / "pyproject.toml")]
    for command in (["check", *config], ["format", "--check", *config]):
        done = subprocess.run(
            [str(Path(sys.executable).with_name("ruff")), *command, "dags", "feature_repo", "include"],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_classification_from_a_csv_runs_by_the_commands_of_its_readme(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "trips.csv"
    trips().to_csv(path, index=False)
    shown = scaffold("trips", "--from", str(path), "--target", "late")
    assert "may leak the target" in shown
    use_case = load_use_case("trips")
    assert use_case.task == "classification"
    assert "arr_delay" not in use_case.prediction.request  # it alone tells whether a flight was late
    assert "arr_delay" in use_case.contract("trips").column_names
    commands = re.findall(r"^mlforge (.*)$", (use_case.folder / "README.md").read_text(), re.MULTILINE)
    assert commands[:2] == ["up", "features apply trips"]
    assert [command.split()[1] for command in commands[2:]] == ["publish", "materialize", "promote", "roll-out"]
    run_command(commands[1])
    refs = [json.loads(run_command(command).splitlines()[-1]) for command in commands[2:5]]
    assert refs[0]["rows"] == len(trips())
    assert (refs[0]["rows_quarantined"], refs[0]["rows_duplicate"]) == (0, 0)
    assert refs[2]["model_version"] == 1
    made = stages.package(StageRun(use_case=use_case, days=use_case.partitions("2013-05-12")))
    assert made.release_id == refs[2]["release_id"]
    require_answerable(use_case, made)
    assert [each for each in dag_ids(root, tmp_path) if each.startswith("trips.")] == [f"trips.{c}" for c in CHAINS]
    require_clean(root)


def run_command(command: str) -> str:
    """Return what a command prints."""
    result = CliRunner().invoke(build_app(), command.split(), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    print(f"$ mlforge {command}\n{result.output}")  # noqa: T201  shown when the test fails
    return result.stdout


# Blanks, capitals, quotes, words of SQL, placeholders of every library on the way, and letters beyond ASCII.
NASTY = {
    "origin": "it's Origin",
    "temp": "Temp (°F)",
    "dewp": "select",
    "humid": "humid {y} $z",
    "wind_dir": "1st:dir ::int",
    "wind_speed": 'wind"speed',
    "visib": "sicht\\weite",
}


@pytest.fixture
def weather_table(root: Path) -> str:
    """A table with two months of hourly weather, under names that nobody should give."""
    weather = pd.read_csv(Path(source_uri(_flights())).with_name("weather.csv"))
    weather = weather[(weather["time_hour"] >= "2013-02-01") & (weather["time_hour"] < "2013-03-15")]
    columns = ", ".join(psycopg.sql.Identifier(name).as_string(None) + " double precision" for name in _numbers())
    origin = psycopg.sql.Identifier(NASTY["origin"]).as_string(None)
    with psycopg.connect(get_settings().postgres_url()) as connection:
        connection.execute(f"CREATE TABLE public.weather ({origin} text, time_hour timestamptz, {columns})".encode())
        rows = weather[["origin", "time_hour", *list(NASTY)[1:]]].astype(object).where(weather.notna(), None)
        with connection.cursor().copy("COPY public.weather FROM STDIN") as copy:
            for row in rows.itertuples(index=False):
                copy.write_row(row)
    return "public.weather"


def _numbers() -> list[str]:
    return list(NASTY.values())[1:]


def test_a_regression_from_a_table_with_nasty_names_runs_up_to_its_bento(
    root: Path, weather_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = get_settings().postgres_url()
    scaffold("warmth", "--from", url, "--table", weather_table, "--target", NASTY["temp"], "--entity", NASTY["origin"])
    monkeypatch.setenv("AIRFLOW_CONN_WARMTH_SOURCE", url)
    use_case = load_use_case("warmth")
    assert use_case.task == "regression"
    assert use_case.contract("weather").column_names == [NASTY["origin"], "time_hour", *_numbers()]
    password = get_settings().secret("postgres_password").encode()
    assert not any(password in path.read_bytes() for path in root.rglob("*") if path.is_file())
    apply_features(use_case)
    run, published = publish(use_case)
    assert (published.rows_quarantined, published.rows_duplicate) == (0, 0)
    require_answerable(use_case, release(run))
    require_clean(root)
