from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mlforge.errors import DataVersionError
from mlforge.versions.metadata import Version, VersionColumn, VersionFile, hash_of_files, read_yaml, write_yaml
from mlforge.versions.names import Series, choose_version, parse_name


def test_a_name_is_taken_apart() -> None:
    assert parse_name("flight_delays/flights/v3") == (Series("flight_delays", "flights"), "v3")
    assert parse_name("flight_delays/training-set") == (Series("flight_delays", "training-set"), None)


@pytest.mark.parametrize("text", ["", "flights", "a//v1", "a/b/c/d"])
def test_what_names_no_version_is_refused(text: str) -> None:
    with pytest.raises(DataVersionError, match="names no version"):
        parse_name(text)


def test_a_version_is_named_by_its_number_or_as_asked() -> None:
    assert [choose_version(wanted, 4) for wanted in (None, "v4", "before-cleanup", "2013.q1")] == [
        "v4",
        "v4",
        "before-cleanup",
        "2013.q1",
    ]


@pytest.mark.parametrize("wanted", ["", "a b", "-x", "a..b", "x.lock", "a/b", "v9", "x" * 65, "~", "a^", "é"])
def test_a_name_that_is_no_tag_or_another_number_is_refused(wanted: str) -> None:
    with pytest.raises(DataVersionError):
        choose_version(wanted, 4)


def a_file(partition: str, sha256: str = "a") -> VersionFile:
    return VersionFile(partition=partition, name=f"{partition}.parquet", rows=2, bytes=10, sha256=sha256, md5="m")


def test_a_description_survives_its_file() -> None:
    files = (a_file("2013-04-01").model_copy(update={"publication_id": 3, "publication_hash": "x"}), a_file("no"))
    version = Version(
        use_case="flight_delays",
        dataset="flights",
        version="v1",
        number=1,
        kind="dataset",
        rows=4,
        bytes=20,
        content_hash=hash_of_files(files),
        key=("carrier", "flight"),
        columns=(VersionColumn(name="time: odd", type="timestamp[us, tz=UTC]"),),
        code_version="c",
        created_at=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
        who="ann",
        note="a: note\nof 'two' lines – and “quotes”",
        files=files,
    )
    assert read_yaml(write_yaml(version), "here") == version


def test_a_broken_description_is_said() -> None:
    with pytest.raises(DataVersionError, match="it is not what was written"):
        read_yaml("rows: [", "here")


def test_the_hash_of_files_knows_names_and_contents_and_no_order() -> None:
    one, two = a_file("1", "a"), a_file("2", "b")
    assert hash_of_files([one, two]) == hash_of_files([two, one])
    assert hash_of_files([one, two]) != hash_of_files([a_file("1", "b"), a_file("2", "a")])
