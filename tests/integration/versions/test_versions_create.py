from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flight_examples import make_training_set
from flight_sources import ask, real_rows
from mlforge import db
from mlforge.errors import DataVersionError, RetryableError, ServiceUnavailableError
from mlforge.settings import Settings
from mlforge.spec import UseCase
from mlforge.versions import Created, DataRepository, create_version
from processes import die_with_parent

pytestmark = pytest.mark.integration


def ask_nothing(statement: str, *values: Any) -> None:
    with db.connect() as connection:
        connection.execute(statement.encode(), values)


def remote_files(settings: Settings) -> set[str]:
    folder = settings.home / "storage" / "data-versions"
    return {"".join(path.parts[-2:]) for path in folder.rglob("*") if path.is_file()}


def test_a_version_holds_the_published_rows_with_their_origin(repository: DataRepository, database: Settings) -> None:
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
    publish("2013-04-01..2013-04-03", lambda rows: rows.assign(distance=rows["distance"].astype(int) + 1))
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


def test_days_and_names_are_chosen(repository: DataRepository, make: Callable[..., Created]) -> None:
    created = make("2013-04-02..2013-04-03", name="for-review", note="two days")
    assert str(created.version.name) == "flight_delays/flights/for-review"
    assert [file.partition for file in created.version.files] == ["2013-04-02", "2013-04-03"]
    with pytest.raises(DataVersionError, match="exists, with other content"):
        make("2013-04-03", name="for-review")
    assert make("2013-04-03").version.version == "v3"
    with pytest.raises(DataVersionError, match="nothing is published in 2013-04-04"):
        make("2013-04-04")


def test_calls_at_once_make_one_version(
    repository: DataRepository, make: Callable[..., Created], publish: Callable[..., UseCase]
) -> None:
    publish("2013-04-04")
    with ThreadPoolExecutor(2) as pool:
        first, second = [future.result() for future in [pool.submit(make), pool.submit(make)]]
    assert sorted([first.new, second.new]) == [False, True]
    assert first.version.version == second.version.version == "v2"


def test_a_training_set_is_versioned_as_it_is(new_repository: Path, flight_delays: UseCase) -> None:
    key = list(flight_delays.prediction.key)
    frame = real_rows().rename(columns={"time_hour": key[-1]})[[*key, "arr_delay"]].head(500)
    training_set = make_training_set(flight_delays, frame=frame)
    ask_nothing(
        "INSERT INTO ledger.training_sets (use_case, partition_key, as_of, rows, uri, content_hash, feature_service,"
        " publications, code_version) VALUES (%s, %s, %s, %s, %s, %s, %s, '{}', 'c')",
        *("flight_delays", training_set.partition_key, training_set.as_of, training_set.rows, training_set.uri),
        *(training_set.content_hash, training_set.feature_service),
    )
    created = create_version(flight_delays, training_set="newest", who="ann")
    assert str(created.version.name) == "flight_delays/training-set/v1"
    assert created.version.files[0].sha256 == training_set.content_hash
    assert created.version.key == tuple(flight_delays.prediction.key)
    assert not create_version(flight_delays, training_set=training_set.partition_key, who="ann").new
    with pytest.raises(DataVersionError, match="there is no training set of 2013-02-01"):
        create_version(flight_delays, training_set="2013-02-01", who="ann")


KILLED_BEFORE_ITS_TAG = """
import sys
from mlforge.spec import load_use_case
from mlforge.versions import create_version
from mlforge.versions.repository import DataRepository
def stop(*_):
    print("stopped", flush=True)
    sys.stdin.read()
DataRepository.tag_head = stop
create_version(load_use_case("flight_delays"), dataset="flights", note="killed", who="ann")
"""


def test_a_kill_between_commit_and_tag_is_mended(
    make: Callable[..., Created], publish: Callable[..., UseCase], new_repository: Path
) -> None:
    publish()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", KILLED_BEFORE_ITS_TAG],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=die_with_parent,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"stopped\n"
    process.kill()
    process.communicate()
    # Once it is committed it is a version: it is finished, not made a second time.
    assert not make(note="again").new
    assert one_version() == "killed"


class Ended(BaseException):
    """The process ends here."""


@pytest.mark.parametrize(
    ("place", "note"),
    [
        ("mlforge.versions.export._remove_others", "again"),
        ("mlforge.versions.repository.DataRepository.commit", "again"),
        ("mlforge.versions.create.record_version", "ended"),
    ],
)
def test_an_end_anywhere_is_mended(
    place: str,
    note: str,
    make: Callable[..., Created],
    publish: Callable[..., UseCase],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish()

    def end(*_: Any) -> None:
        raise Ended

    with monkeypatch.context() as patch:
        patch.setattr(place, end)
        with pytest.raises(Ended):
            make(note="ended")
    assert make(note="again").new == (note == "again")
    assert one_version() == note
    assert not make().new


def one_version() -> str:
    """Return the note of the only version that there is, in git as in the ledger."""
    (name,) = DataRepository.open().names()
    ((version, note),) = ask("SELECT version, note FROM ledger.dataset_versions")
    assert (name.version, DataRepository.open().read(name).note) == (version, note) == ("v1", note)
    return str(note)


def test_a_forgotten_lock_is_removed_and_a_fresh_one_respected(
    repository: DataRepository, make: Callable[..., Created], publish: Callable[..., UseCase]
) -> None:
    publish("2013-04-04")
    lock = repository.root / ".git" / "index.lock"
    lock.touch()
    with pytest.raises(RetryableError, match="someone uses git"):
        make()
    os.utime(lock, (0, 0))
    assert make().version.version == "v2"


def test_a_remote_that_is_gone_makes_no_version(
    repository: DataRepository, make: Callable[..., Created], publish: Callable[..., UseCase], database: Settings
) -> None:
    publish("2013-04-04")
    remote = database.home / "storage" / "data-versions"
    aside = remote.rename(remote.with_name("aside"))
    remote.write_text("no folder", encoding="utf-8")
    try:
        with pytest.raises(ServiceUnavailableError, match="sending flight_delays/flights failed"):
            make()
        assert len(repository.names()) == 1
    finally:
        remote.unlink()
        aside.rename(remote)
    assert make().version.version == "v2"


def test_a_repository_that_was_lost_is_said(repository: DataRepository, make: Callable[..., Created]) -> None:
    shutil.rmtree(repository.root)
    with pytest.raises(DataVersionError, match="the ledger knows this content as flight_delays/flights/v1"):
        make()
