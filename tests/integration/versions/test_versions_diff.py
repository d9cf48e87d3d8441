from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from mlforge.cli.main import build_app
from mlforge.spec import UseCase
from mlforge.versions import Created, DataRepository
from mlforge.versions.diff import diff_versions

pytestmark = pytest.mark.integration


def corrected(rows: pd.DataFrame) -> pd.DataFrame:
    """Ten distances of 2 April changed, one flight of it gone; the row numbers are those of the source."""
    day = rows.index[rows["time_hour"].str.startswith("2013-04-02")]
    changed = rows.drop(day[20])
    changed.loc[day[:10], "distance"] = (changed.loc[day[:10], "distance"].astype(int) + 3).astype(str)
    return changed


@pytest.fixture
def two(repository: DataRepository, make: Callable[..., Created], publish: Callable[..., UseCase]) -> DataRepository:
    """Versions of three days, and of four with a correction."""
    publish("2013-04-01..2013-04-04", corrected)
    make(note="a <b>corrected</b> day")
    return repository


def test_a_diff_counts_rows_and_cells_by_partition(two: DataRepository) -> None:
    old, new = two.resolve("flight_delays/flights/v1"), two.resolve("flight_delays/flights/v2")
    found = diff_versions(two, old, new)
    assert [(each.partition, each.status, each.removed, each.changed) for each in found.partitions] == [
        ("2013-04-02", "changed", 1, 10),
        ("2013-04-04", "added", 0, 0),
    ]
    assert (found.unchanged, found.rows.added) == (2, new.files[3].rows)
    assert set(found.rows.columns) == {"distance"}
    assert found.rows.columns["distance"].cells == 10
    assert len(found.rows.columns["distance"].examples) == 5
    assert all(int(after) - int(before) == 3 for _, before, after in found.rows.columns["distance"].examples)
    assert found.files == {
        "added": ["2013-04-04.parquet"],
        "deleted": [],
        "modified": ["2013-04-02.parquet"],
        "renamed": [],
    }
    assert found.rows.same + found.rows.changed + found.rows.removed == old.rows
    assert found.rows.same + found.rows.changed + found.rows.added == new.rows
    assert not found.columns


def test_the_other_way_round_is_the_mirror(two: DataRepository) -> None:
    old, new = two.resolve("flight_delays/flights/v1"), two.resolve("flight_delays/flights/v2")
    found = diff_versions(two, new, old)
    assert [(each.partition, each.status, each.added) for each in found.partitions] == [
        ("2013-04-02", "changed", 1),
        ("2013-04-04", "removed", 0),
    ]


def test_commands_show_versions_and_their_differences(two: DataRepository, tmp_path: Path) -> None:
    app, run = build_app(), CliRunner().invoke
    listed = run(app, ["data", "version", "list", "flight_delays", "--json"])
    assert [row["version"] for row in json.loads(listed.stdout)] == ["v1", "v2"]
    assert "flights/v2" in run(app, ["data", "version", "list", "flight_delays"]).stdout
    page = tmp_path / "diff.html"
    arguments = ["data", "version", "diff", "flight_delays/flights/v1", "v2"]
    told = run(app, [*arguments, "--html", str(page)])
    assert told.exit_code == 0
    assert "1 removed, 10 changed" in told.stdout
    assert json.loads(run(app, [*arguments, "--json"]).stdout)["rows"]["columns"]["distance"]["cells"] == 10
    text = page.read_text(encoding="utf-8")
    assert "a &lt;b&gt;corrected&lt;/b&gt; day" in text
    assert "http" not in text.replace("http-equiv", "")
    same = run(app, ["data", "version", "diff", "flight_delays/flights/v1", "v1"])
    assert "byte for byte" in same.stdout
    restored = run(app, ["data", "version", "restore", "flight_delays/flights/v1", "--to", str(tmp_path / "r")])
    assert "3 files" in restored.stdout
    assert "all hashes right" in restored.stdout
