from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from flight_sources import ask
from mlforge.settings import Settings
from mlforge.spec import UseCase
from mlforge.versions import Created, DataRepository

pytestmark = pytest.mark.integration


def remote_files(settings: Settings) -> set[str]:
    folder = settings.home / "storage" / "data-versions"
    return {"".join(path.parts[-2:]) for path in folder.rglob("*") if path.is_file()}


def test_a_version_holds_the_published_rows_with_their_origin(
    repository: DataRepository, database: Settings
) -> None:
    version = repository.resolve("flight_delays/flights/v1")
    published = ask("SELECT partition_key, publication_id, rows_published FROM ledger.publications ORDER BY 1")
    assert [(file.partition, file.publication_id, file.rows) for file in version.files] == published
    assert version.rows == sum(rows for _, _, rows in published)
    assert {file.md5 for file in version.files} <= remote_files(database)
    assert ask("SELECT version, rows, partitions, publication_ids, git_commit, who FROM ledger.dataset_versions") == [
        ("v1", version.rows, 3, version.publication_ids, repository.commit_of(version.name), "ann")
    ]


def test_the_same_content_is_no_new_version(repository: DataRepository, make: Callable[..., Created]) -> None:
    again = make(note="once more")
    assert (again.new, again.version.version, again.reused) == (False, "v1", 3)
    assert [str(name) for name in repository.names()] == ["flight_delays/flights/v1"]


def test_unchanged_partitions_are_kept_once(
    repository: DataRepository, make: Callable[..., Created], publish: Callable[..., UseCase], database: Settings
) -> None:
    before = remote_files(database)
    publish("2013-04-02", lambda rows: rows.assign(distance=rows["distance"].astype(int) + 1))
    created = make()
    assert (created.new, created.version.version, created.reused) == (True, "v2", 2)
    # The changed day and the list of the folder.
    assert len(remote_files(database) - before) == 2


def test_a_file_depends_on_the_rows_only(
    repository: DataRepository, make: Callable[..., Created], publish: Callable[..., UseCase]
) -> None:
    """Rows in another order in the table, written anew without the file of before."""
    first = repository.resolve("flight_delays/flights")
    publish("2013-04-01..2013-04-03", lambda rows: rows.assign(distance=0).iloc[::-1])
    publish("2013-04-01..2013-04-03", lambda rows: rows.iloc[::-1])
    for path in (repository.root / "flight_delays/flights/data").iterdir():
        path.unlink()
    created = make()
    assert (created.new, created.reused) == (False, 0)
    assert created.version == first
    on_disk = (repository.root / "flight_delays/flights/data/2013-04-01.parquet").read_bytes()
    assert hashlib.sha256(on_disk).hexdigest() == first.files[0].sha256


def test_git_and_dvc_find_all_of_it_in_order(repository: DataRepository, tmp_path: Path) -> None:
    from dulwich import porcelain
    from dvc.repo import Repo

    status = porcelain.status(str(repository.root))
    assert not any(status.staged.values())
    assert not status.unstaged
    assert not status.untracked
    dvc = Repo(str(repository.root))
    assert dvc.status() == {}
    assert dvc.config["core"]["analytics"] is False
    dvc.close()
