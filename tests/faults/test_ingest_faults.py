"""What kills, dropped connections and runs at once leave, and what the next run makes of it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from flight_sources import ask, checked, published, reading, real_rows, staging_tables, warehouse
from mlforge import db
from mlforge.errors import ServiceUnavailableError
from mlforge.features import build_features
from mlforge.features.stale import stale_partitions
from mlforge.ingest import extract_partition, publish, publish_partition
from mlforge.settings import Settings
from mlforge.spec import UseCase
from processes import die_with_parent

pytestmark = pytest.mark.integration
DAY = "2013-04-02"
AFTER_CHECK = """
import sys
from flight_sources import checked
from mlforge.spec import load_use_case
checked(load_use_case("flight_delays"), sys.argv[1])
print("checked", flush=True)
sys.stdin.read()
"""
WITHIN_PUBLICATION = """
import sys
from flight_sources import checked
from mlforge.ingest import publish, publish_partition
from mlforge.spec import load_use_case
def stop(*_):
    print("inserted", flush=True)
    sys.stdin.read()
write = publish._write
def write_and_stop(*arguments):
    write(*arguments)
    stop()
publish._write = write_and_stop
use_case = load_use_case("flight_delays")
publish_partition(use_case, checked(use_case, sys.argv[1]))
"""


def kill_at(code: str, word: str) -> None:
    """Run code in a process of its own and kill it as soon as it says the word."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, DAY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
        env=dict(os.environ),
    )
    assert process.stdout is not None
    try:
        assert any(word.encode() in line for line in process.stdout)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("code", "word"), [(AFTER_CHECK, "checked"), (WITHIN_PUBLICATION, "inserted")])
def test_a_killed_attempt_leaves_nothing_published_and_the_next_one_comes_through(
    database: Settings, flight_delays: UseCase, code: str, word: str
) -> None:
    kill_at(code, word)
    assert len(staging_tables()) == 1
    assert ask("SELECT count(*) FROM ledger.publications") == [(0,)]
    # What an attempt with the same rows has staged counts as left behind after an hour.
    with db.connect() as connection:
        connection.execute("UPDATE ledger.attempts SET claimed_at = claimed_at - interval '2 hours'")
    done = published(flight_delays, DAY)
    assert (done.rows, done.changed) == (981, 1)
    assert len(warehouse()) == 981
    assert staging_tables() == []


WITHIN_BUILD = """
import sys
from mlforge.features import build, build_features
from mlforge.spec import load_use_case
replace = build._View._replace
def replace_and_stop(*arguments):
    replace(*arguments)
    print("replaced", flush=True)
    sys.stdin.read()
build._View._replace = replace_and_stop
use_case = load_use_case("flight_delays")
one = use_case.model_copy(update={"datasets": {"weather": use_case.datasets["weather"]},
                                  "features": {"weather": use_case.features["weather"]}})
build_features(one, one.partitions(sys.argv[1]))
"""
# A run that brings its days one after the other, from a file of its own; an older attempt gives way.
RUN = """
import sys
from pathlib import Path
from flight_sources import checked
from mlforge.errors import StaleAttemptError
from mlforge.ingest import publish_partition
from mlforge.spec import load_use_case
use_case = load_use_case("flight_delays")
declared = use_case.datasets["weather"]
source = declared.source.model_copy(update={"path": sys.argv[1], "format": "csv"})
weather = declared.model_copy(update={"source": source})
use_case = use_case.model_copy(update={"datasets": {**use_case.datasets, "weather": weather}})
print("ready", flush=True)
sys.stdin.readline()
for key in sys.argv[2:]:
    try:
        publish_partition(use_case, checked(use_case, key, "weather"))
    except StaleAttemptError:
        print("gave way", flush=True)
"""
DAYS = ["2013-04-01", "2013-04-02"]


def start(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
        env=dict(os.environ),
        preexec_fn=die_with_parent,
    )


def one_view(use_case: UseCase) -> UseCase:
    return use_case.model_copy(
        update={
            "datasets": {"weather": use_case.datasets["weather"]},
            "features": {"weather": use_case.features["weather"]},
        }
    )


def test_a_killed_build_leaves_no_half_partition_and_the_next_one_comes_through(
    database: Settings, flight_delays: UseCase
) -> None:
    done = published(flight_delays, DAY, "weather")
    kill_at(WITHIN_BUILD, "replaced")
    assert ask("SELECT count(*) FROM features.flight_delays__weather") == [(0,)]
    assert ask("SELECT count(*) FROM ledger.feature_publications") == [(0,)]
    built = build_features(one_view(flight_delays), flight_delays.partitions(DAY))
    assert (built.rows, built.changed) == (done.rows, 1)
    assert stale_partitions(one_view(flight_delays)) == []


def test_two_backfills_and_the_nightly_run_at_once_end_with_the_newest_attempt(
    database: Settings, flight_delays: UseCase, tmp_path: Path
) -> None:
    use_cases: dict[str, UseCase] = {}
    processes = []
    for name, visib, keys in (("a", "1", DAYS), ("b", "2", DAYS[::-1]), ("nightly", "3", DAYS[1:2])):
        rows = real_rows("weather")
        rows["visib"] = visib
        use_cases[visib] = reading(flight_delays, rows, tmp_path / f"{name}.csv", "weather")
        processes.append(start(RUN, str(tmp_path / f"{name}.csv"), *keys))
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=240)
        assert process.returncode == 0
    newest = dict(
        ask("SELECT DISTINCT ON (partition_key) partition_key, raw_hash FROM ledger.attempts ORDER BY 1, attempt DESC")
    )
    published_now = {
        key: (count, visibs)
        for key, count, visibs in ask(
            "SELECT partition_key, count(*), array_agg(DISTINCT visib) FROM warehouse.flight_delays__weather GROUP BY 1"
        )
    }
    for key in DAYS:
        of_newest = [
            (raw.rows, [float(visib)])
            for visib, use_case in use_cases.items()
            if (raw := extract_partition(use_case, "weather", use_case.partitions(key))).content_hash == newest[key]
        ]
        assert [published_now[key]] == of_newest
    assert ask("SELECT count(*) FROM ledger.publications WHERE rows_in <> rows_published + rows_quarantined"
               " + rows_duplicate") == [(0,)]  # fmt: skip
    assert staging_tables() == []


def test_a_connection_that_drops_within_a_publication_publishes_nothing_and_the_same_check_can_be_published_again(
    database: Settings, flight_delays: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = checked(flight_delays, DAY, "weather")
    write = publish._write

    def write_and_drop(connection: Any, *arguments: Any) -> None:
        write(connection, *arguments)
        with db.connect() as other:
            other.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
        connection.execute("SELECT 1")

    monkeypatch.setattr(publish, "_write", write_and_drop)
    with pytest.raises(ServiceUnavailableError, match="nothing was published"):
        publish_partition(flight_delays, check)
    monkeypatch.undo()
    assert ask("SELECT to_regclass('warehouse.flight_delays__weather')") == [(None,)]
    assert publish_partition(flight_delays, check).rows == len(warehouse("weather")) > 0


def test_a_reader_sees_the_old_version_until_the_new_one_is_whole(
    database: Settings, flight_delays: UseCase, tmp_path: Path
) -> None:
    versions = []
    for visib in ("1", "2"):
        rows = real_rows("weather")
        rows["visib"] = visib
        versions.append(reading(flight_delays, rows, tmp_path / f"{visib}.csv", "weather"))
    key = f"{DAYS[0]}..{DAYS[-1]}"
    rows_each = published(versions[0], key, "weather").rows
    seen: set[tuple[int, float]] = set()
    over = threading.Event()

    def read() -> None:
        with db.connect(autocommit=True) as connection:
            while not over.is_set():
                found = connection.execute(
                    "SELECT count(*), sum(visib) FROM warehouse.flight_delays__weather"
                ).fetchone()
                assert found is not None
                seen.add(found)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for version in (versions[1], versions[0], versions[1]):
            published(version, key, "weather")
    finally:
        over.set()
        for reader in readers:
            reader.join()
    assert seen == {(rows_each, float(rows_each)), (rows_each, 2.0 * rows_each)}
