"""Land, check and publish beside a bare COPY of the same rows; one day replaced; memory over many partitions."""

from __future__ import annotations

import io
import itertools
import resource
import subprocess
import sys
import time
from typing import Any

from database import database
from figures import Figure, median, show

# Use case, dataset, and all of its partitions.
WHOLE = (
    ("flight_delays", "flights", "2013-01-01..2013-12-30"),
    ("household_spend", "transactions", None),
)
TURNS = 3
DAYS = 11


def measure() -> list[Figure]:
    with database():
        return [*(figure for whole in WHOLE for figure in _whole(*whole)), *_one_day(), _memory()]


def _whole(name: str, dataset: str, key: str | None) -> list[Figure]:
    """Return the rate of the three stages together and of COPY, measured in turns."""
    from mlforge import stages
    from mlforge.spec import load_use_case

    use_case = load_use_case(name)
    days = use_case.partitions(key or f"{use_case.schedule.start}..{use_case.schedule.end}")
    run = stages.StageRun(use_case, days, dataset=dataset)
    raw = stages.extract(run)  # the first time parses the source's file, which is kept
    ours, copies, parts = [], [], []
    for _ in range(TURNS):
        _forget(use_case, dataset)
        seconds = _stage_seconds(run)
        ours.append(raw.rows / sum(seconds))
        parts.append(seconds)
        copies.append(raw.rows / _copy_seconds(use_case, dataset))
    share = median([mine / bare for mine, bare in zip(ours, copies, strict=True)])
    landed, checked, published = (median([each[place] for each in parts]) for place in range(3))
    beside = f"COPY {median(copies):,.0f} rows/s; land {landed:.1f} s, check {checked:.1f} s, publish {published:.1f} s"
    return [
        Figure(f"{dataset}: {raw.rows:,} rows landed, checked, published", median(ours), "rows/s", "", beside),
        Figure("the same, as a share of a bare COPY", share, "", "≥ 0.50"),
    ]


def _stage_seconds(run: Any) -> list[float]:
    """Return the times of landing, checking and publishing."""
    from mlforge import stages

    moments = [time.perf_counter()]
    raw = stages.extract(run)
    moments.append(time.perf_counter())
    checked = stages.check(run, raw)
    moments.append(time.perf_counter())
    stages.publish(run, checked)
    moments.append(time.perf_counter())
    return [after - before for before, after in itertools.pairwise(moments)]


def _forget(use_case: Any, dataset: str) -> None:
    """Drop what is published, so that the next turn is a first load again."""
    from psycopg import sql

    from mlforge import db

    with db.connect() as connection:
        connection.execute(
            sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier("warehouse", use_case.table(dataset)))
        )
        connection.execute("ALTER TABLE ledger.publications DISABLE TRIGGER USER")
        connection.execute("DELETE FROM ledger.publications WHERE dataset = %s", [dataset])
        connection.execute("ALTER TABLE ledger.publications ENABLE TRIGGER USER")


def _copy_seconds(use_case: Any, dataset: str) -> float:
    """Return the time of a bare COPY of the published rows, as CSV, into a table with the same columns, no index."""
    from psycopg import sql

    from mlforge import db

    table = sql.Identifier("warehouse", use_case.table(dataset))
    buffer = io.BytesIO()
    with db.connect() as connection:
        with connection.cursor().copy(sql.SQL("COPY {} TO STDOUT (FORMAT csv)").format(table)) as rows:
            for chunk in rows:
                buffer.write(chunk)
        content = buffer.getvalue()
        connection.execute(sql.SQL("CREATE TABLE bare (LIKE {})").format(table))
        connection.commit()
        begun = time.perf_counter()
        with connection.cursor().copy("COPY bare FROM STDIN (FORMAT csv)") as copy:
            for place in range(0, len(content), 1 << 18):
                copy.write(content[place : place + (1 << 18)])
        connection.commit()
        seconds = time.perf_counter() - begun
        connection.execute("DROP TABLE bare")
    return seconds


def _one_day() -> list[Figure]:
    """Return the time of one day of flights: checked, and put in the place of what was there."""
    from mlforge import stages
    from mlforge.spec import load_use_case

    use_case = load_use_case("flight_delays")
    checks, publications = [], []
    for number in range(DAYS + 1):
        day = use_case.partitions(f"2013-05-{number + 1:02d}")
        run = stages.StageRun(use_case, day, dataset="flights")
        _change(day.key)
        _, checked, published = _stage_seconds(run)
        checks.append(checked)
        publications.append(published)
    return [  # the first one warms up
        Figure("one day of flights checked, warm", median(checks[1:]) * 1000, "ms", "≤ 500 ms"),
        Figure("one day of flights replaced, warm", median(publications[1:]) * 1000, "ms", "≤ 100 ms"),
    ]


def _change(key: str) -> None:
    """Make the newest publication of a day one with other content, so that publishing has to replace it."""
    from mlforge import db

    with db.connect() as connection:
        connection.execute("ALTER TABLE ledger.publications DISABLE TRIGGER USER")
        connection.execute("UPDATE ledger.publications SET content_hash = '' WHERE partition_key = %s", [key])
        connection.execute("ALTER TABLE ledger.publications ENABLE TRIGGER USER")


def _memory() -> Figure:
    """Return how much more memory the last days of a long series of single days needed than the first."""
    few, many = (_peak(days) for days in (10, 60))
    return Figure("peak memory of 60 days, one after the other, less that of 10", many - few, "MB", "≤ 30 MB")


def _peak(days: int) -> float:
    code = f"import ingest; ingest.publish_days({days})"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, cwd=__file__.rpartition("/")[0]
    )
    return float(done.stdout)


def publish_days(count: int) -> None:
    """Land, check and publish single days, and print the peak memory of this process in MB."""
    import datetime as dt

    from mlforge import stages
    from mlforge.spec import load_use_case

    use_case = load_use_case("flight_delays")
    for number in range(count):
        run = stages.StageRun(
            use_case, use_case.partitions(str(dt.date(2013, 6, 1) + dt.timedelta(number))), dataset="flights"
        )
        stages.publish(run, stages.check(run, stages.extract(run)))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    show(measure())
