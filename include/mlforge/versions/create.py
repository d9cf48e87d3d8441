"""Making a version: files, DVC, git, ledger, in an order that a crash anywhere leaves mendable.

The files are at the remote before the commit, the commit is there before the tag, the tag before the ledger's row. So a
version that has a name has its data; what a killed process left is finished or done again by the next one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, LiteralString

import psycopg

from mlforge import db
from mlforge.db.ledger import release_record
from mlforge.errors import DataVersionError
from mlforge.refs import PartitionRange, Ref, TrainingSet
from mlforge.spec import UseCase
from mlforge.versions.export import Snapshot, export_dataset, export_training_set
from mlforge.versions.metadata import Version, hash_of_files
from mlforge.versions.names import TRAINING_SET, Series, VersionName, choose_version
from mlforge.versions.records import VersionRecord, record_version, recorded_versions
from mlforge.versions.repository import DATA, DataRepository
from mlforge.versions.worktree import remove_stale_locks

NEWEST = "newest"

_TRAINING_SET: LiteralString = """
    SELECT use_case, partition_key, as_of, rows, uri, content_hash, feature_service, publications, code_version
    FROM ledger.training_sets
    WHERE use_case = %(use_case)s AND (%(key)s::text IS NULL OR partition_key = %(key)s)
    ORDER BY training_set_id DESC LIMIT 1
"""


@dataclass(frozen=True)
class Created:
    """What `create_version` did.

    Attributes:
        version: The version that holds the content.
        new: Whether it was made now; the same content is never two versions.
        reused: How many files were those of the version before.
    """

    version: Version
    new: bool
    reused: int

    def reference(self, partition_key: str) -> Ref:
        """Return what a task hands on: its address is the version's name.

        Args:
            partition_key: Of the run that asked for it.
        """
        version = self.version
        return Ref(
            use_case=version.use_case,
            partition_key=partition_key,
            uri=f"dataset-version:{version.name}",
            rows=version.rows,
            content_hash=version.content_hash,
            code_version=version.code_version,
        )


def create_version(
    use_case: UseCase,
    *,
    dataset: str | None = None,
    training_set: str | None = None,
    days: PartitionRange | None = None,
    name: str | None = None,
    note: str = "",
    who: str,
    run_id: str | None = None,
) -> Created:
    """Make a version of what a dataset has published, or of a training set.

    Calls at once wait for each other.

    Args:
        use_case: Whose data.
        dataset: Name of a dataset; or give `training_set`.
        training_set: `newest`, the partition key that one ends with, or the id of a release.
        days: Only partitions within; all that are published without.
        name: Name of the version; `v` and its number without.
        note: Why it is made.
        who: Who makes it.
        run_id: The run that makes it, for the ledger.

    Raises:
        DataVersionError: There is no such data, or the name is taken.
        RetryableError: The remote does not take the files, or someone uses git in the data repository.
    """
    if (dataset is None) == (training_set is None):
        raise DataVersionError("what to make a version of is unclear", hint="give a dataset or a training set")
    series = Series(use_case.name, dataset or TRAINING_SET)
    with db.connect() as connection:
        db.lock_partition(connection, "data repository")
        repository = DataRepository.open(create=True)
        remove_stale_locks(repository.root)
        _mend(connection, repository)
        others = [record for record in recorded_versions(connection, use_case.name) if record.dataset == series.dataset]
        number = max((record.number for record in others), default=0) + 1
        chosen = choose_version(name, number)
        snapshot = _export(connection, repository, use_case, series, training_set, days)
        content_hash = hash_of_files(snapshot.files)
        same = next((record for record in others if record.content_hash == content_hash), None)
        if same is not None:
            return Created(_present(repository, same), new=False, reused=snapshot.reused)
        _require_free(others, chosen)
        version = _version(snapshot, series, chosen, number, content_hash, note=note, who=who, run_id=run_id)
        repository.record_files(series)
        record_version(connection, version, repository.commit(version))
    return Created(version, new=True, reused=snapshot.reused)


def _mend(connection: psycopg.Connection[Any], repository: DataRepository) -> None:
    """Finish what a killed process left: a commit without its tag, tags without their row in the ledger."""
    unfinished = repository.untagged()
    if unfinished is not None:
        repository.tag_head(unfinished.name)
    known: set[VersionName] = set()
    names = repository.names()
    for use_case in {name.series.use_case for name in names}:
        known |= {record.name for record in recorded_versions(connection, use_case)}
    for name in names:
        if name not in known:
            record_version(connection, repository.read(name), repository.commit_of(name))


def _export(
    connection: psycopg.Connection[Any],
    repository: DataRepository,
    use_case: UseCase,
    series: Series,
    training_set: str | None,
    days: PartitionRange | None,
) -> Snapshot:
    folder = repository.folder(series) / DATA
    if training_set is None:
        before = repository.head(series)
        return export_dataset(connection, use_case, series.dataset, days, folder, before)
    return export_training_set(use_case, find_training_set(connection, use_case, training_set), folder)


def find_training_set(connection: psycopg.Connection[Any], use_case: UseCase, wanted: str) -> TrainingSet:
    """Return the training set that a person names: `newest`, a partition key, or the id of a release.

    Raises:
        DataVersionError: There is none.
    """
    if wanted.isdigit():
        record = release_record(int(wanted))
        if record.release.use_case == use_case.name:
            return record.training_set
        raise DataVersionError(f"release {wanted} is of {record.release.use_case}", where=use_case.name)
    key = None if wanted == NEWEST else wanted
    row = connection.execute(_TRAINING_SET, {"use_case": use_case.name, "key": key}).fetchone()
    if row is None:
        raise DataVersionError(
            "there is no training set" + (f" of {wanted}" if key else ""),
            where=use_case.name,
            hint=f"make one by `mlforge stage assemble --use-case {use_case.name} --partition {key or 'DAY'}`",
        )
    return TrainingSet.model_validate(dict(zip(_FIELDS, row, strict=True)))


_FIELDS = (
    *("use_case", "partition_key", "as_of", "rows", "uri", "content_hash"),
    *("feature_service", "publications", "code_version"),
)


def _present(repository: DataRepository, record: VersionRecord) -> Version:
    """Return the version that the ledger knows, from the data repository."""
    if record.name not in repository.names():
        raise DataVersionError(
            f"the ledger knows this content as {record.name}, the data repository at {repository.root} does not",
            hint="let MLFORGE_DATA_REPOSITORY name the clone that has it, or fetch its tags from your git remote",
        )
    return repository.read(record.name)


def _require_free(others: list[VersionRecord], chosen: str) -> None:
    taken = next((record for record in others if record.version == chosen), None)
    if taken is not None:
        raise DataVersionError(
            f"{taken.name} exists, with other content",
            hint="choose another --name, or leave it out for the next number",
        )


def _version(
    snapshot: Snapshot,
    series: Series,
    chosen: str,
    number: int,
    content_hash: str,
    *,
    note: str,
    who: str,
    run_id: str | None,
) -> Version:
    return Version(
        use_case=series.use_case,
        dataset=series.dataset,
        version=chosen,
        number=number,
        kind=snapshot.kind,
        rows=sum(file.rows for file in snapshot.files),
        bytes=sum(file.bytes for file in snapshot.files),
        content_hash=content_hash,
        key=snapshot.key,
        columns=snapshot.columns,
        contract_version=snapshot.contract_version,
        code_version=snapshot.code_version,
        created_at=datetime.now(UTC),
        who=who,
        note=note,
        run_id=run_id,
        training_set=snapshot.training_set,
        files=snapshot.files,
    )
