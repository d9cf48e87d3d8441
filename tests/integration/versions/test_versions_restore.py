from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from flight_sources import ask, published
from mlforge.errors import DataVersionError, SettingsError
from mlforge.settings import Settings, get_settings
from mlforge.spec import UseCase
from mlforge.versions import Created, DataRepository, restore_version

pytestmark = pytest.mark.integration


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.parquet")}


@pytest.fixture
def stored(repository: DataRepository) -> dict[str, str]:
    """The files of v1 as they were made."""
    return hashes(repository.root / "flight_delays/flights/data")


def test_an_older_version_comes_back_byte_for_byte(
    repository: DataRepository,
    stored: dict[str, str],
    make: Callable[..., Created],
    publish: Callable[..., UseCase],
    tmp_path: Path,
) -> None:
    publish("2013-04-02", lambda rows: rows.assign(distance=rows["distance"].astype(int) + 1))
    make()
    folder = restore_version(repository.resolve("flight_delays/flights/v1"), tmp_path / "a" / "restored")
    assert hashes(folder) == stored
    assert (folder / "version.yaml").is_file()
    # Again is no work, and what is there is never written over.
    restore_version(repository.resolve("flight_delays/flights/v1"), folder)
    (folder / "2013-04-01.parquet").write_bytes(b"mine")
    with pytest.raises(DataVersionError, match="holds something else"):
        restore_version(repository.resolve("flight_delays/flights/v1"), folder)
    assert (folder / "2013-04-01.parquet").read_bytes() == b"mine"


def test_a_clone_restores_from_the_remote_alone(
    repository: DataRepository,
    stored: dict[str, str],
    database: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dulwich import porcelain

    clone = tmp_path / "clone"
    porcelain.clone(str(repository.root), str(clone), errstream=porcelain.NoneStream()).close()
    shutil.rmtree(repository.root)
    monkeypatch.setenv("MLFORGE_DATA_REPOSITORY", str(clone))
    # No database is needed: the name, the hashes and the remote are in git.
    monkeypatch.setenv("MLFORGE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1")
    get_settings.cache_clear()
    try:
        version = DataRepository.open().resolve("flight_delays/flights")
        assert hashes(restore_version(version, tmp_path / "restored")) == stored
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()


def test_a_cache_that_is_gone_or_damaged_is_filled_from_the_remote(
    repository: DataRepository, stored: dict[str, str], tmp_path: Path
) -> None:
    version = repository.resolve("flight_delays/flights/v1")
    cache = repository.root / ".dvc" / "cache"
    shutil.rmtree(cache)
    assert hashes(restore_version(version, tmp_path / "one")) == stored
    md5 = version.files[1].md5
    cached = cache / "files" / "md5" / md5[:2] / md5[2:]
    cached.chmod(0o644)
    cached.write_bytes(b"damaged")
    assert hashes(restore_version(version, tmp_path / "two")) == stored


def test_a_damaged_remote_is_said_and_nothing_is_left(
    repository: DataRepository, database: Settings, tmp_path: Path
) -> None:
    version = repository.resolve("flight_delays/flights/v1")
    md5 = version.files[0].md5
    lost = database.home / "storage" / "data-versions" / "files" / "md5" / md5[:2] / md5[2:]
    lost.chmod(0o644)
    lost.write_bytes(b"damaged")
    shutil.rmtree(repository.root / ".dvc" / "cache")
    with pytest.raises(DataVersionError, match="1 of 3 files at the remote are not what was stored"):
        restore_version(version, tmp_path / "restored")
    assert list(tmp_path.glob("*restored*")) == []


def test_names_that_are_not_there_are_said_with_the_nearest(repository: DataRepository) -> None:
    with pytest.raises(DataVersionError, match="did you mean flight_delays/flights/v1"):
        repository.resolve("flight_delays/flihgts/v1")


def test_a_repository_that_is_no_clone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFORGE_DATA_REPOSITORY", str(tmp_path))
    get_settings.cache_clear()
    try:
        with pytest.raises(SettingsError, match="is no git clone"):
            DataRepository.open(create=True)
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()


def test_restored_files_can_be_published_again(
    repository: DataRepository, flight_delays: UseCase, publish: Callable[..., UseCase], tmp_path: Path
) -> None:
    newest = (
        "SELECT content_hash FROM ledger.publications WHERE partition_key = '2013-04-02' ORDER BY version DESC LIMIT 1"
    )
    before = ask(newest)
    publish("2013-04-02", lambda rows: rows.assign(distance=rows["distance"].astype(int) + 1))
    assert ask(newest) != before
    folder = restore_version(repository.resolve("flight_delays/flights/v1"), tmp_path / "restored")
    declared = flight_delays.dataset("flights")
    path = str(folder / "{partition_key}.parquet")
    source = declared.source.model_copy(update={"path": path, "format": "parquet"})
    datasets = {**flight_delays.datasets, "flights": declared.model_copy(update={"source": source})}
    published(flight_delays.model_copy(update={"datasets": datasets}), "2013-04-02")
    assert ask(newest) == before
