"""What differs between two versions: columns, rows, cells and distributions, partition by partition."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mlforge.errors import DataVersionError
from mlforge.versions.metadata import Version, VersionFile
from mlforge.versions.repository import DataRepository
from mlforge.versions.rows import RowChanges, compare_rows
from mlforge.versions.shift import Numbers, NumberSummary, as_floats, is_number

if TYPE_CHECKING:
    import pyarrow as pa

# The partition a row lies in says nothing new about the row.
_NOT_COMPARED = {"partition_key"}


@dataclass(frozen=True)
class ColumnChanges:
    """Columns that only one version has, and those whose type differs: name, type before, type after."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    retyped: tuple[tuple[str, str, str], ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.retyped)


@dataclass(frozen=True)
class PartitionChanges:
    """Changes of one partition; `status` is `added`, `removed` or `changed`."""

    partition: str
    status: str
    added: int
    removed: int
    changed: int


@dataclass(frozen=True)
class Shift:
    """A column's figures before and after.

    Attributes:
        in_deviations: Difference of the means, in standard deviations of before; None where there is none.
    """

    column: str
    old: NumberSummary
    new: NumberSummary

    @property
    def in_deviations(self) -> float | None:
        """Difference of the means in standard deviations of before."""
        if self.old.mean is None or self.new.mean is None or not self.old.deviation:
            return None
        return (self.new.mean - self.old.mean) / self.old.deviation


@dataclass
class VersionDiff:
    """All that differs between two versions of a series.

    Attributes:
        files: DVC's own comparison: names of files that were added, deleted, modified, renamed.
        partitions: Only those that differ, oldest first.
        unchanged: Number of partitions that are the same, byte for byte.
        rows: All partitions together.
        shifts: Numeric columns whose figures differ, the largest shift of the mean first.
    """

    old: Version
    new: Version
    columns: ColumnChanges
    files: dict[str, list[str]]
    partitions: list[PartitionChanges] = field(default_factory=list)
    unchanged: int = 0
    rows: RowChanges = field(default_factory=RowChanges)
    shifts: list[Shift] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether both hold the same files."""
        return self.old.content_hash == self.new.content_hash


def diff_versions(repository: DataRepository, old: Version, new: Version) -> VersionDiff:
    """Return what differs; in memory is one partition of each at a time.

    Rows are matched by the contract's primary key, those of training sets by the key of a prediction.

    Raises:
        DataVersionError: They are versions of different things.
        ServiceUnavailableError: The remote does not give their files.
    """
    if old.name.series != new.name.series:
        raise DataVersionError(
            f"{old.name} and {new.name} are versions of different things", hint="compare versions of one dataset"
        )
    diff = VersionDiff(old, new, _column_changes(old, new), repository.changed_files(old, new))
    if diff.same:
        diff.unchanged, diff.rows.same = len(new.files), new.rows
        return diff
    for version in (old, new):
        repository.fetch(version)
    with repository.reading(old) as open_old, repository.reading(new) as open_new:
        _Comparison(diff).run(open_old, open_new)
    return diff


class _Comparison:
    """Walks through the partitions of both versions once."""

    def __init__(self, diff: VersionDiff) -> None:
        self.diff = diff
        names = [column.name for column in diff.old.columns]
        self.common = [column.name for column in diff.new.columns if column.name in names]
        self.compared = [name for name in self.common if name not in _NOT_COMPARED]
        self.key = [name for name in diff.new.key if name in self.common and name in diff.old.key]
        self.old_numbers: dict[str, Numbers] = {}
        self.new_numbers: dict[str, Numbers] = {}

    def run(self, open_old: Any, open_new: Any) -> None:
        """Compare every partition and fill in the diff."""
        before = {file.partition: file for file in self.diff.old.files}
        after = {file.partition: file for file in self.diff.new.files}
        for partition in sorted(before.keys() | after.keys()):
            old, new = before.get(partition), after.get(partition)
            left = None if old is None else _read(open_old, old)
            if old is not None and new is not None and old.sha256 == new.sha256:
                assert left is not None  # noqa: S101 for the type checker
                self._take_same(left)
                continue
            right = None if new is None else _read(open_new, new)
            self._take(partition, left, right)
        self.diff.shifts = self._shifts()

    def _take_same(self, table: pa.Table) -> None:
        self.diff.unchanged += 1
        self.diff.rows.same += table.num_rows
        self._note(table, self.old_numbers, self.new_numbers)

    def _take(self, partition: str, left: pa.Table | None, right: pa.Table | None) -> None:
        if left is not None:
            self._note(left, self.old_numbers)
        if right is not None:
            self._note(right, self.new_numbers)
        if left is not None and right is not None:
            found, status = compare_rows(left, right, self.key, self.compared), "changed"
        elif right is not None:
            found, status = RowChanges(added=right.num_rows), "added"
        else:
            found, status = RowChanges(removed=0 if left is None else left.num_rows), "removed"
        self.diff.rows.add(found)
        self.diff.partitions.append(PartitionChanges(partition, status, found.added, found.removed, found.changed))

    def _note(self, table: pa.Table, *sides: dict[str, Numbers]) -> None:
        for name in self.compared:
            if is_number(table.schema.field(name).type):
                values = as_floats(table.column(name))
                for numbers in sides:
                    numbers.setdefault(name, Numbers()).add(values)

    def _shifts(self) -> list[Shift]:
        shifts = [
            Shift(name, self.old_numbers[name].summary(), self.new_numbers[name].summary())
            for name in self.old_numbers.keys() & self.new_numbers.keys()
        ]
        differing = [shift for shift in shifts if replace(shift.old, rows=0) != replace(shift.new, rows=0)]
        return sorted(differing, key=lambda shift: (-abs(shift.in_deviations or 0.0), shift.column))


def _read(open_file: Any, file: VersionFile) -> pa.Table:
    import pyarrow.parquet as pq

    with open_file(file) as opened:
        # Threads cost more than they give for many small files.
        return pq.ParquetFile(opened).read(use_threads=False)


def _column_changes(old: Version, new: Version) -> ColumnChanges:
    before = {column.name: column.type for column in old.columns}
    after = {column.name: column.type for column in new.columns}
    retyped = [(name, before[name], after[name]) for name in after if name in before and before[name] != after[name]]
    return ColumnChanges(_missing(after, before), _missing(before, after), tuple(retyped))


def _missing(names: Iterable[str], there: Iterable[str]) -> tuple[str, ...]:
    known = set(there)
    return tuple(name for name in names if name not in known)


def as_json(diff: VersionDiff) -> dict[str, Any]:
    """Return a diff as JSON values."""
    return {
        "old": str(diff.old.name),
        "new": str(diff.new.name),
        "same": diff.same,
        "columns": asdict(diff.columns),
        "files": diff.files,
        "unchanged_partitions": diff.unchanged,
        "partitions": [asdict(partition) for partition in diff.partitions],
        "rows": asdict(diff.rows),
        "shifts": [{**asdict(shift), "in_deviations": shift.in_deviations} for shift in diff.shifts],
    }
