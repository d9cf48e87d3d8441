from __future__ import annotations

import zipfile
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlforge.errors import SourceError
from mlforge.ingest.source import DAY, read_source, source_uri
from mlforge.refs import PartitionRange
from mlforge.settings import Settings
from mlforge.spec.sources import FileSource

LINES = (
    "at,name\n2013-01-02T23:59:59Z,b\n2013-01-01T00:00:00Z,a\n2013-01-02T00:00:00Z,NA\n2013-01-02T01:00:00+02:00,c\n"
)
SECOND = PartitionRange.parse("2013-01-02")


def source(path: Path, **other: str | None) -> FileSource:
    return FileSource.model_validate({"kind": "file", "path": str(path), "partition_column": "at", **other})


def test_a_day_is_its_utc_day_in_the_order_of_the_file(installation: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(LINES)
    assert read_source(source(tmp_path / "a.csv"), SECOND)["name"].to_pylist() == ["b", None]
    first = read_source(source(tmp_path / "a.csv"), PartitionRange.parse("2013-01-01"))
    assert first["name"].to_pylist() == ["a", "c"]
    assert first[DAY].to_pylist() == [date(2013, 1, 1)] * 2


def test_zip_and_parquet_give_what_csv_gives(installation: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(LINES)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", LINES)
    table = read_source(source(tmp_path / "a.csv", partition_column=None), None)
    pq.write_table(table, tmp_path / "a.parquet")
    wanted = read_source(source(tmp_path / "a.csv"), SECOND)
    assert read_source(source(tmp_path / "a.zip"), SECOND) == wanted
    assert read_source(source(tmp_path / "a.parquet", format="parquet"), SECOND) == wanted


def test_a_changed_file_is_read_anew(installation: Settings, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(LINES)
    read_source(source(path), SECOND)
    path.write_text(LINES + "2013-01-02T05:00:00Z,new\n")
    assert read_source(source(path), SECOND)["name"].to_pylist() == ["b", None, "new"]


def test_a_file_that_is_read_otherwise_is_read_anew(installation: Settings, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("at,name\n2013-01-01T23:30:00,ä\n".encode())
    first = PartitionRange.parse("2013-01-01")
    assert read_source(source(path), first)["name"].to_pylist() == ["ä"]
    assert read_source(source(path, encoding="latin-1"), first)["name"].to_pylist() == ["Ã¤"]
    assert len(read_source(source(path, timezone="America/New_York"), first)) == 0


def test_parquet_times_without_a_zone_are_utc(installation: Settings, tmp_path: Path) -> None:
    moments = pa.array([0, 86_400_000_000], pa.timestamp("us"))
    pq.write_table(pa.table({"at": moments}), tmp_path / "a.parquet")
    days = PartitionRange.parse("1970-01-02")
    assert len(read_source(source(tmp_path / "a.parquet", format="parquet"), days)) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("at,name\nyesterday,a\n", r"'at' are no timestamp.*'yesterday'"),
        ("at,name\nNA,a\n", "1 rows have no at"),
        ("att,name\n2013-01-01T00:00:00Z,a\n", "no column 'at'.*did you mean 'att'"),
        ("at,name\n2013-01-01T00:00:00Z,a,b\n", "cannot be read as csv"),
    ],
)
def test_a_file_that_is_wrong_says_what_is_wrong(
    installation: Settings, tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(SourceError, match=message):
        read_source(source(tmp_path / "a.csv"), SECOND)


def test_a_file_that_is_not_there_is_an_error(installation: Settings, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone\.csv: the source file does not exist"):
        read_source(source(tmp_path / "gone.csv"), SECOND)


def test_a_package_that_is_not_installed_is_an_error() -> None:
    with pytest.raises(SourceError, match="'nycflights14' is not installed"):
        source_uri(FileSource(kind="file", path="package:nycflights14/data/flights.csv.zip"))
