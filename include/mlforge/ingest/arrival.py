"""Whether a partition has arrived at its source, and what is said when it has not in time."""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING

from mlforge import db
from mlforge.errors import EmptyPartitionError, PartitionNotReadyError
from mlforge.ingest.files import SourceFiles, file_uri
from mlforge.ingest.pages import has_records
from mlforge.ingest.queries import has_rows
from mlforge.ingest.source import DAY, read_kept, source_uri
from mlforge.spec.sources import FileSource, HttpSource

if TYPE_CHECKING:
    from mlforge.refs import PartitionRange
    from mlforge.spec import UseCase

log = logging.getLogger(__name__)

_ALERT = """
INSERT INTO ledger.alerts (use_case, partition_key, severity, what, detail, run_id)
VALUES (%(use_case)s, %(partition_key)s, 'critical', %(what)s, %(detail)s, %(run_id)s)
ON CONFLICT (use_case, partition_key, what) DO NOTHING
"""


def partition_available(use_case: UseCase, dataset: str, days: PartitionRange) -> bool:
    """Return whether all partitions have arrived at their source, without reading more than that takes.

    Raises:
        SourceError: The source cannot be read as declared.
        RetryableError: The source does not answer.
    """
    return first_missing(use_case, dataset, days) is None


def first_missing(use_case: UseCase, dataset: str, days: PartitionRange) -> str | None:
    """Return the key of the first partition that has not arrived, None when all have.

    Raises:
        SourceError: The source cannot be read as declared.
        RetryableError: The source does not answer.
    """
    declared = use_case.dataset(dataset)
    recorded, _ = use_case.recorded_and_replayed(days)  # what is replayed is always there
    if recorded is None or not declared.partitioned:
        return None
    source = declared.source
    if isinstance(source, FileSource):
        return _first_missing_file(use_case, dataset, source, recorded)
    for day in recorded:
        found = has_records(source, day) if isinstance(source, HttpSource) else has_rows(source, day, use_case.folder)
        if not found:
            return day.key
    return None


def _first_missing_file(use_case: UseCase, dataset: str, source: FileSource, days: PartitionRange) -> str | None:
    import pyarrow.compute as pc

    files = SourceFiles(source)
    if source.one_per_partition:
        return next((key for key in days.keys if not files.exists(file_uri(source, key))), None)
    if not files.exists(file_uri(source)):
        return days.keys[0]
    kinds = {column.name: column.arrow_type for column in use_case.contract(dataset).columns}
    present = {days.key_of(day) for day in pc.unique(read_kept(source, days, kinds, [DAY])[DAY]).to_pylist()}
    return next((key for key in days.keys if key not in present), None)


def deadline_of(use_case: UseCase, dataset: str, days: PartitionRange, run_started: dt.datetime) -> dt.datetime:
    """Return until when a partition is waited for, UTC.

    That is `deadline_hours` after the end of the newest partition, or after the start of the run when it is later:
    whoever starts a run for a day long ago waits just as long.

    Raises:
        EmptyPartitionError: The dataset's source declares no `wait`.
    """
    wait = use_case.dataset(dataset).source.wait
    if wait is None:
        raise EmptyPartitionError("its source declares no `wait`", where=f"{use_case.name}.{dataset}")
    return max(days.end, run_started) + dt.timedelta(hours=wait.deadline_hours)


def late_error(
    use_case: UseCase, dataset: str, days: PartitionRange, deadline: dt.datetime, seen: str = ""
) -> PartitionNotReadyError:
    """Return the error that says what is late, since when, and what was seen of the source last."""
    key = days.keys[0]
    return PartitionNotReadyError(
        f"the partition {key} is late: due since {days.end:%Y-%m-%d %H:%M} UTC, waited for until"
        f" {deadline:%Y-%m-%d %H:%M} UTC",
        where=f"{use_case.name}.{dataset}, source {source_uri(use_case.dataset(dataset).source)}",
        evidence=[seen] if seen else [],
        hint="ask whoever delivers it; when it has come, clear the task or run the partition again",
    )


def raise_late_alert(
    use_case: UseCase, dataset: str, days: PartitionRange, deadline: dt.datetime, *, run_id: str | None = None
) -> bool:
    """Write a critical alert that a partition has not come in time; return False if it had been written before."""
    from psycopg.types.json import Jsonb

    values = {
        "use_case": use_case.name,
        "partition_key": days.keys[0],
        "what": f"late {dataset}",
        "detail": Jsonb(
            {
                "dataset": dataset,
                "source": source_uri(use_case.dataset(dataset).source),
                "due": days.end.isoformat(),
                "deadline": deadline.isoformat(),
            }
        ),
        "run_id": run_id,
    }
    with db.connect() as connection:
        new = connection.execute(_ALERT, values).rowcount == 1
    if new:
        log.warning("%s %s: %s is late", use_case.name, days.keys[0], dataset)
    return new
