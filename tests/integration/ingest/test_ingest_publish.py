from __future__ import annotations

import threading
from pathlib import Path

import pandas as pd
import pytest

from flight_sources import ask, checked, published, reading, real_rows, staging_tables, warehouse
from mlforge import db
from mlforge.errors import SpecError, StaleAttemptError, TerminalError
from mlforge.ingest import publish_partition
from mlforge.refs import PublishedPartition
from mlforge.settings import Settings
from mlforge.spec import UseCase

pytestmark = pytest.mark.integration
DAY = "2013-04-02"


def publications(key: str = DAY) -> list[tuple[object, ...]]:
    return ask(
        "SELECT version, rows_in, rows_published, rows_quarantined, rows_duplicate FROM ledger.publications"
        " WHERE dataset = 'flights' AND partition_key = %s ORDER BY version",
        key,
    )


def test_a_real_day_is_published_whole_with_its_times(database: Settings, flight_delays: UseCase) -> None:
    done = published(flight_delays, DAY)
    assert (done.rows, done.rows_quarantined, done.rows_duplicate, done.changed) == (981, 0, 0, 1)
    assert publications() == [(1, 981, 981, 0, 0)]
    assert staging_tables() == []
    assert ask(
        "SELECT count(*), count(*) FILTER (WHERE event_timestamp = time_hour + make_interval(mins => minute)),"
        " count(*) FILTER (WHERE known_at > event_timestamp), min(partition_key), max(partition_key)"
        " FROM warehouse.flight_delays__flights"
    ) == [(981, 981, 981, DAY, DAY)]


def test_the_same_content_again_changes_nothing(database: Settings, flight_delays: UseCase) -> None:
    first = published(flight_delays, DAY)
    before = ask("SELECT ctid::text, xmin::text FROM warehouse.flight_delays__flights ORDER BY 1")
    second = published(flight_delays, DAY)
    assert second.changed == 0
    assert second.content_hash == first.content_hash
    assert ask("SELECT ctid::text, xmin::text FROM warehouse.flight_delays__flights ORDER BY 1") == before
    assert len(publications()) == 1
    assert staging_tables() == []


def test_a_task_that_is_run_again_after_it_came_through_says_the_same(
    database: Settings, flight_delays: UseCase
) -> None:
    check = checked(flight_delays, DAY)
    first = publish_partition(flight_delays, check)
    again = publish_partition(flight_delays, check)
    assert again == first.model_copy(update={"changed": 0})
    assert len(publications()) == 1


def test_a_changed_row_is_a_new_version(database: Settings, flight_delays: UseCase, tmp_path: Path) -> None:
    rows = real_rows()
    published(reading(flight_delays, rows, tmp_path / "a.csv"), DAY)
    place = rows.index[rows["time_hour"].str.startswith(DAY)][0]
    rows.loc[place, "tailnum"] = "N99999"
    done = published(reading(flight_delays, rows, tmp_path / "b.csv"), DAY)
    assert done.changed == 1
    assert [version for version, *_ in publications()] == [1, 2]
    assert ask("SELECT count(*), count(*) FILTER (WHERE tailnum = 'N99999') FROM warehouse.flight_delays__flights") == [
        (981, 1)
    ]


def test_a_range_gives_what_its_days_give(database: Settings, flight_delays: UseCase) -> None:
    whole = published(flight_delays, "2013-04-01..2013-04-03")
    content = warehouse()
    assert whole.changed == 3
    assert whole.rows == len(content)
    for day in ("2013-04-01", "2013-04-02", "2013-04-03"):
        assert published(flight_delays, day).changed == 0
    assert warehouse() == content
    assert ask("SELECT count(*), sum(rows_published) FROM ledger.publications") == [(3, len(content))]


def test_copies_are_counted_and_published_once(database: Settings, flight_delays: UseCase, tmp_path: Path) -> None:
    rows = real_rows()
    copies = rows[rows["time_hour"].str.startswith(DAY)].head(7)
    doubled = pd.concat([rows, copies, copies.head(2)], ignore_index=True)
    done = published(reading(flight_delays, doubled, tmp_path / "doubled.csv"), DAY)
    assert (done.rows, done.rows_duplicate) == (981, 9)
    assert publications() == [(1, 990, 981, 0, 9)]


def test_a_static_dataset_is_published_whole(database: Settings, flight_delays: UseCase) -> None:
    assert published(flight_delays, DAY, "planes").partition_key == "static"
    assert published(flight_delays, "2013-04-03", "planes").changed == 0
    assert ask("SELECT partition_key, count(*) FROM warehouse.flight_delays__planes GROUP BY 1") == [("static", 3322)]


def test_an_older_attempt_is_fenced(database: Settings, flight_delays: UseCase) -> None:
    old = checked(flight_delays, "2013-04-01..2013-04-03")
    new = checked(flight_delays, DAY)
    assert staging_tables() == [new.uri.removeprefix("staging.")]
    with pytest.raises(StaleAttemptError, match="newer attempt"):
        publish_partition(flight_delays, old)
    assert ask("SELECT to_regclass('warehouse.flight_delays__flights')") == [(None,)]
    assert publish_partition(flight_delays, new).rows == 981


def test_attempts_with_the_same_rows_and_code_do_not_fence_each_other(
    database: Settings, flight_delays: UseCase
) -> None:
    old, new = checked(flight_delays, DAY), checked(flight_delays, DAY)
    assert publish_partition(flight_delays, old).changed == 1
    assert publish_partition(flight_delays, new).changed == 0
    assert publications() == [(1, 981, 981, 0, 0)]
    assert staging_tables() == []


def test_concurrent_attempts_never_double_a_row(database: Settings, flight_delays: UseCase) -> None:
    gate = threading.Barrier(4)
    outcomes: list[PublishedPartition | Exception] = []

    def attempt() -> None:
        gate.wait()
        try:
            outcomes.append(published(flight_delays, DAY))
        except StaleAttemptError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 4
    assert any(isinstance(outcome, PublishedPartition) for outcome in outcomes)
    assert publications() == [(1, 981, 981, 0, 0)]
    assert len(set(warehouse())) == 981
    assert staging_tables() == []


def test_the_same_check_published_twice_at_once_comes_through_once(database: Settings, flight_delays: UseCase) -> None:
    check = checked(flight_delays, DAY)
    outcomes: list[int] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(publish_partition(flight_delays, check).changed))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [0, 0, 1]
    assert len(warehouse()) == 981


def test_staging_that_a_crash_emptied_is_not_published(database: Settings, flight_delays: UseCase) -> None:
    check = checked(flight_delays, DAY)
    with db.connect() as connection:
        connection.execute(f"TRUNCATE {check.uri}")
    with pytest.raises(TerminalError, match=r"does not hold what was checked.*check the partition again"):
        publish_partition(flight_delays, check)
    assert ask("SELECT count(*) FROM ledger.publications") == [(0,)]


def test_a_table_that_differs_from_its_contract_is_left_alone(database: Settings, flight_delays: UseCase) -> None:
    published(flight_delays, DAY)
    with db.connect() as connection:
        connection.execute("ALTER TABLE warehouse.flight_delays__flights ADD COLUMN gate text")
    with pytest.raises(SpecError, match="differ in gate"):
        published(flight_delays, "2013-04-03")
    assert len(warehouse()) == 981
