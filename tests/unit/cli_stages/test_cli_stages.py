"""`mlforge stage`, with rooms that only note what they were asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mlforge import refs, stages
from mlforge.cli.stages import stages_app
from mlforge.errors import MLForgeError
from mlforge.refs import Ref
from mlforge.stages import STAGES, StageRun

BASE = {"uri": "u", "rows": 7, "content_hash": "h", "code_version": "c"}
ARGUMENTS = ["--use-case", "flight_delays", "--partition", "2013-04-01"]
runner = CliRunner()


def raw(run: StageRun) -> Ref:
    key = run.use_case.dataset_key(run.dataset, run.days)
    return refs.RawPartition(use_case=run.use_case.name, partition_key=key, dataset=run.dataset, source_uri="s", **BASE)  # type: ignore[arg-type]


def checked(run: StageRun, given: Any) -> Ref:
    return refs.CheckedPartition(
        use_case=given.use_case, partition_key=given.partition_key, dataset=given.dataset, attempt=1, rows_in=7,
        rows_quarantined=0, rows_duplicate=0, raw_uri="u", raw_hash="h", **BASE,
    )  # type: ignore[arg-type]  # fmt: skip


def published(run: StageRun, given: Any) -> Ref:
    return refs.PublishedPartition(
        use_case=given.use_case, partition_key=given.partition_key, dataset=given.dataset, rows_quarantined=0,
        rows_duplicate=0, changed=1, **BASE,
    )  # type: ignore[arg-type]  # fmt: skip


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand-in rooms of the data chain; the names of the stages that ran."""
    noted: list[str] = []

    def noting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def noted_function(run: StageRun, *given: Any) -> Any:
            noted.append(f"{name} {run.dataset or given[0].dataset} {run.days.key}")
            return function(run, *given)

        return noted_function

    for name, function in (("extract", raw), ("check", checked), ("publish", published)):
        monkeypatch.setitem(STAGES, name, replace(STAGES[name], function=noting(name, function)))
    monkeypatch.setitem(STAGES, "join-outcomes", replace(STAGES["join-outcomes"], function=lambda run: 3))
    return noted


def test_a_stage_runs_the_stages_before_it_for_every_dataset(calls: list[str]) -> None:
    done = runner.invoke(stages_app, ["publish", *ARGUMENTS], catch_exceptions=False)
    assert done.exit_code == 0
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["dataset"] for line in lines] == ["flights", "weather", "planes"]
    assert [line["partition_key"] for line in lines] == ["2013-04-01", "2013-04-01", "static"]
    assert calls[:3] == [f"{name} flights 2013-04-01" for name in ("extract", "check", "publish")]
    assert "publish flights 2013-04-01: 7 rows, u" in done.stderr


def test_a_stage_that_is_given_its_ref_runs_alone(calls: list[str], tmp_path: Path) -> None:
    first = runner.invoke(stages_app, ["extract", *ARGUMENTS, "--dataset", "weather"], catch_exceptions=False)
    calls.clear()
    (tmp_path / "ref.json").write_text(first.stdout, encoding="utf-8")
    from_file = ["check", "--use-case", "flight_delays", "--input", str(tmp_path / "ref.json")]
    from_stdin = ["check", "--use-case", "flight_delays", "--input", "-"]
    assert runner.invoke(stages_app, from_file, catch_exceptions=False).exit_code == 0
    assert runner.invoke(stages_app, from_stdin, input=first.stdout, catch_exceptions=False).exit_code == 0
    assert calls == ["check weather 2013-04-01"] * 2


def test_a_range_is_given_by_its_ends(calls: list[str]) -> None:
    arguments = ["extract", "--use-case", "flight_delays", "--from", "2013-01-01", "--to", "2013-01-03"]
    assert runner.invoke(stages_app, [*arguments, "--dataset", "flights"]).exit_code == 0
    assert calls == ["extract flights 2013-01-01..2013-01-03"]


def test_a_stage_that_counts_prints_the_number(calls: list[str]) -> None:
    done = runner.invoke(stages_app, ["join-outcomes", *ARGUMENTS], catch_exceptions=False)
    assert json.loads(done.stdout) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["extract", "--use-case", "flight_delay", "--partition", "2013-04-01"], "did you mean 'flight_delays'"),
        (["extract", "--use-case", "flight_delays", "--partition", "April"], "is no day"),
        (["extract", "--use-case", "flight_delays", "--partition", "2014-04-01"], "outside"),
        (["extract", "--use-case", "flight_delays"], "no partition is given"),
        (["extract", *ARGUMENTS, "--dataset", "wether"], "there is no dataset 'wether'"),
        (["check", *ARGUMENTS, "--input", "/nowhere.json"], "no ref can be read"),
        (["check", *ARGUMENTS, "--input", "-"], "holds no ref"),
    ],
)
def test_bad_input_is_an_error_of_ours(calls: list[str], arguments: list[str], message: str) -> None:
    done = runner.invoke(stages_app, arguments, input="")
    assert isinstance(done.exception, MLForgeError)
    assert message in str(done.exception)
    assert calls == []


def test_a_ref_of_another_kind_is_refused(calls: list[str]) -> None:
    done = runner.invoke(stages_app, ["check", *ARGUMENTS, "--input", "-"], input='{"colour": "blue"}')
    assert isinstance(done.exception, MLForgeError)
    assert "RawPartition" in str(done.exception)


def test_both_ends_or_none() -> None:
    done = runner.invoke(stages_app, ["extract", "--use-case", "flight_delays", "--from", "2013-01-01"])
    assert done.exit_code == 2


def test_every_stage_is_a_command_and_needs_one_that_exists() -> None:
    help_text = runner.invoke(stages_app, ["--help"], env={"COLUMNS": "200"}).stdout
    for name, stage in STAGES.items():
        assert name in help_text
        assert stage.needs is None or stage.needs in STAGES
        assert stage.input is None or issubclass(getattr(refs, stage.input), Ref)


def test_monitoring_looks_at_a_window_that_the_schedule_holds(flight_delays: Any) -> None:
    def window(key: str) -> str:
        return stages.monitored_days(StageRun(flight_delays, flight_delays.partitions(key))).key

    assert window("2013-04-01") == "2013-03-26..2013-04-01"
    assert window("2013-01-01..2013-03-31") == "2013-03-25..2013-03-31"
    assert window("2013-01-03") == "2013-01-01..2013-01-03"
