from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlforge.errors import ServiceUnavailableError
from mlforge.settings import Settings, get_settings
from mlforge.spec import UseCase
from mlforge.versions import Created, DataRepository, restore_version
from object_store import ObjectStore, object_store

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with object_store(tmp_path_factory.mktemp("s3")) as running:
        running.make_bucket("mlforge")
        yield running


@pytest.fixture
def stored_on_s3(
    store: ObjectStore, publish: Callable[..., UseCase], new_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Flights are published; files are kept on S3 from now on."""
    publish()
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFORGE_STORAGE_URL", "s3://mlforge/files")
    get_settings.cache_clear()
    yield get_settings()
    monkeypatch.undo()
    get_settings.cache_clear()


def test_s3_is_a_remote_like_another(
    stored_on_s3: Settings, store: ObjectStore, make: Callable[..., Created], tmp_path: Path
) -> None:
    created = make()
    assert created.new
    keys = {item["Key"] for item in store.client().list_objects_v2(Bucket="mlforge")["Contents"]}
    assert {f"files/data-versions/files/md5/{file.md5[:2]}/{file.md5[2:]}" for file in created.version.files} <= keys
    repository = DataRepository.open()
    shutil.rmtree(repository.root / ".dvc" / "cache")
    folder = restore_version(repository.resolve("flight_delays/flights"), tmp_path / "restored")
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.parquet")} == {
        file.name: file.sha256 for file in created.version.files
    }
    in_repository = b"".join(path.read_bytes() for path in repository.root.rglob("*") if path.is_file())
    assert store.secret_key.encode() not in in_repository
    assert store.access_key.encode() not in in_repository


def test_refused_credentials_make_no_version_and_are_not_told(
    stored_on_s3: Settings, store: ObjectStore, make: Callable[..., Created], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-and-secret")
    with pytest.raises(ServiceUnavailableError, match="sending flight_delays/flights failed") as told:
        make()
    assert "wrong-and-secret" not in str(told.value)
    assert DataRepository.open().names() == []


def test_credentials_in_a_file_of_dvc_are_private(
    stored_on_s3: Settings, store: ObjectStore, make: Callable[..., Created], monkeypatch: pytest.MonkeyPatch
) -> None:
    make()
    repository = DataRepository.open()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)
    local = repository.root / ".dvc" / "config.local"
    local.write_text(
        "['remote \"storage\"']\n"
        f"    access_key_id = {store.access_key}\n"
        f"    secret_access_key = {store.secret_key}\n"
        f"    endpointurl = {store.url}\n",
        encoding="utf-8",
    )
    assert not make("2013-04-01..2013-04-03").new
    assert make("2013-04-02").new
    assert local.stat().st_mode & 0o777 == 0o600
    with (repository.root / ".dvc" / ".gitignore").open(encoding="utf-8") as file:
        assert "/config.local" in file.read().split()
