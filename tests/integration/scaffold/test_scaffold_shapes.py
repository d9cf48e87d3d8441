"""Shapes of data beside the usual one: weeks, dates, local times, gaps, no entity. Each becomes a training set."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from mlforge import stages, storage
from mlforge.cli.main import build_app
from mlforge.examples import load_examples, split_by_time
from mlforge.features import apply_features, close_store
from mlforge.settings import Settings
from mlforge.spec import UseCase, load_use_case
from mlforge.stages import StageRun
from scaffold_roots import own_root

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def root(module_database: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with own_root(tmp_path_factory.mktemp("checkout")) as folder:
        try:
            yield folder
        finally:
            close_store()


def visits(rows: int, days: int) -> pd.DataFrame:
    """Visits, evenly over the days: since when a customer, some numbers with gaps, and whether something is bought."""
    random = np.random.default_rng(5)
    at = pd.Timestamp("2026-01-05") + pd.to_timedelta(np.arange(rows) * days / rows, "D")
    frame = pd.DataFrame({"visited": at.floor("s"), "visit_id": np.arange(rows) + 1})
    frame["customer_since"] = (frame["visited"] - pd.to_timedelta(random.integers(1, 900, rows), "D")).dt.floor("s")
    frame["pages"] = pd.array(random.integers(1, 30, rows), "Int64")
    frame["mobile"] = random.random(rows) < 0.5
    frame["bought"] = random.random(rows) < frame["pages"].astype(float) / 40
    frame = frame.astype({"mobile": object})
    frame.loc[::9, ["customer_since", "pages", "mobile"]] = None
    return frame


def training_table(name: str) -> tuple[UseCase, pa.Table]:
    """Return a use case and its training set, made from its whole schedule, with every row published."""
    use_case = load_use_case(name)
    assert use_case.schedule.end is not None
    days = use_case.partitions(f"{use_case.schedule.start}..{use_case.schedule.end}")
    run = StageRun(use_case=use_case, days=days, dataset="visits")
    apply_features(use_case)
    published = stages.publish(run, stages.check(run, stages.extract(run)))
    assert (published.rows_quarantined, published.rows_duplicate) == (0, 0)
    stages.materialize(run, stages.build_features(run))
    training_set = stages.assemble(StageRun(use_case=use_case, days=use_case.partitions(days.last_key)))
    examples = load_examples(use_case, training_set)
    assert len(examples) >= use_case.training.minimum_rows
    assert all(len(np.unique(part.labels)) == 2 for part in split_by_time(use_case, examples).values())
    return use_case, pq.read_table(io.BytesIO(storage.read_bytes(training_set.uri)))


def scaffold(*arguments: str) -> None:
    result = CliRunner().invoke(build_app(), ["init", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def test_weeks_of_dates_without_an_entity(root: Path, tmp_path: Path) -> None:
    frame = visits(700, 98)
    frame["visited"] = frame["visited"].dt.date
    frame = frame.drop(columns=["customer_since"])
    frame.to_csv(tmp_path / "visits.csv", index=False)
    scaffold("weekly", "--from", str(tmp_path / "visits.csv"), "--target", "bought")
    use_case, table = training_table("weekly")
    assert use_case.schedule.period == "week"
    assert list(use_case.features) == ["weekly_by_weekday"]
    late = table.slice(table.num_rows // 2)
    share = late["weekly_by_weekday__bought_share_28d"]
    assert share.null_count == 0
    assert 0 < min(share.to_pylist()) <= max(share.to_pylist()) < 1
    # A moment lies at the beginning of its day, and knows the weeks that had ended then.
    assert all(moment.hour == 0 for moment in late["event_timestamp"].to_pylist())


def test_local_times_whose_outcome_is_known_later(root: Path, tmp_path: Path) -> None:
    visits(1600, 40).to_parquet(tmp_path / "visits.parquet")
    scaffold(
        *("local", "--from", str(tmp_path / "visits.parquet"), "--target", "bought", "--timezone", "Europe/Vienna"),
        *("--known-after", "4"),
    )
    use_case, table = training_table("local")
    first = min(table["event_timestamp"].to_pylist())
    assert first.isoformat() == "2026-01-04T23:00:00+00:00"
    lag = {
        known - moment
        for known, moment in zip(table["known_at"].to_pylist(), table["event_timestamp"].to_pylist(), strict=True)
    }
    assert lag == {pd.Timedelta(days=4)}
    since = [name for name in use_case.prediction.derived if name.startswith("days_since")]
    assert since == ["days_since_customer_sinc"]
    assert table[since[0]].null_count == table["customer_since"].null_count > 0
    assert min(value for value in table[since[0]].to_pylist() if value is not None) >= 1
