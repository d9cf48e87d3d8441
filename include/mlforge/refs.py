"""What passes between stages: frozen references, never data.

    Source → RawPartition → CheckedPartition → PublishedPartition → FeaturePartition → TrainingSet → Candidate
           → Release → Deployment → Prediction → DriftReport

`ref.dump()` is what an Airflow task returns; `Kind.load(value)` is what the next one reads.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict

from mlforge.errors import PartitionKeyError

STATIC_KEY = "static"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, order=True)
class PartitionRange:
    """Partitions from `first` to `last`, both included. One partition is a range of one.

    Written `2013-04-01`, or `2013-01-01..2013-03-31`: a partition is named by its first UTC day.

    Attributes:
        first: First day of the first partition.
        last: First day of the last partition.
        step_days: Days of one partition: 1, or 7 where they are weeks.
    """

    first: date
    last: date
    step_days: int = 1

    @classmethod
    def parse(cls, key: str, *, step_days: int = 1) -> Self:
        """Return the range that a key names.

        Raises:
            PartitionKeyError: The key is no day, no range of days, or ends before it starts.
        """
        first, separator, last = key.strip().partition("..")
        days = [_parse_day(first, key), _parse_day(last if separator else first, key)]
        if days[0] > days[1]:
            raise PartitionKeyError(f"the range {key!r} ends before it starts", hint="swap its ends")
        return cls(days[0], days[1], step_days)

    @classmethod
    def between(cls, first: str, last: str) -> Self:
        """Return the range between two days, both included."""
        return cls.parse(f"{first}..{last}")

    @property
    def key(self) -> str:
        """The range in writing."""
        return str(self.first) if self.first == self.last else f"{self.first}..{self.last}"

    @property
    def last_key(self) -> str:
        """Key of the newest partition."""
        return str(self.last)

    @property
    def start(self) -> datetime:
        """First instant of the range, UTC."""
        return datetime.combine(self.first, datetime.min.time(), UTC)

    @property
    def end(self) -> datetime:
        """First instant after the range, UTC."""
        return datetime.combine(self.last + timedelta(days=self.step_days), datetime.min.time(), UTC)

    def __len__(self) -> int:
        return (self.last - self.first).days // self.step_days + 1

    def __iter__(self) -> Iterator[PartitionRange]:
        for place in range(len(self)):
            day = self.first + timedelta(days=place * self.step_days)
            yield PartitionRange(day, day, self.step_days)

    def key_of(self, day: date) -> str:
        """Return the key of the partition in which a UTC day falls."""
        return str(day - timedelta(days=(day - self.first).days % self.step_days))

    @property
    def keys(self) -> list[str]:
        """Key of each partition, oldest first."""
        return [day.key for day in self]


def _parse_day(text: str, key: str) -> date:
    try:
        if not _DAY.fullmatch(text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise PartitionKeyError(
            f"the partition key {key!r} is no day", hint="write it as 2013-04-01, a range as 2013-01-01..2013-03-31"
        ) from None


class Ref(BaseModel):
    """What every stage hands on.

    Attributes:
        use_case: Name of the use case.
        partition_key: A day, a range of days, or `static`.
        uri: Where the thing lies.
        rows: How many rows it has.
        content_hash: SHA-256 of its content, hexadecimal.
        code_version: Version of the code that made it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    use_case: str
    partition_key: str
    uri: str
    rows: int
    content_hash: str
    code_version: str

    def dump(self) -> dict[str, Any]:
        """Return the reference as JSON values."""
        return self.model_dump(mode="json")

    @classmethod
    def load(cls, value: Mapping[str, Any] | Self) -> Self:
        """Return the reference that `dump` wrote."""
        return value if isinstance(value, cls) else cls.model_validate(value)


class RawPartition(Ref):
    """Rows as a source gave them: an immutable, content-addressed Parquet file."""

    dataset: str
    source_uri: str


class CheckedPartition(Ref):
    """Rows that were typed, checked and split: `uri` names the staging table."""

    dataset: str
    attempt: int
    rows_in: int
    rows_quarantined: int
    rows_duplicate: int
    raw_uri: str
    raw_hash: str
    warnings: tuple[str, ...] = ()


class PublishedPartition(Ref):
    """Rows that stand in the warehouse. `changed` counts the partitions that this run published anew."""

    dataset: str
    rows_quarantined: int
    rows_duplicate: int
    changed: int


class FeaturePartition(Ref):
    """Rows of feature views, per view; `rows` is their sum."""

    views: dict[str, int]
    changed: int
    materialized: int = 0


class TrainingSet(Ref):
    """Labelled examples with the features known at their moment: an immutable, content-addressed Parquet file.

    Attributes:
        as_of: Only what was known then is in it.
        feature_service: Name of Feast's feature service.
        publications: Newest ledger row of each dataset that it was made from.
    """

    as_of: AwareDatetime
    feature_service: str
    publications: dict[str, int]


class PlannedSearch(Ref):
    """A search that is planned, for one of its workers; `uri` names the study, `content_hash` its settings.

    Attributes:
        training_set: What is searched on.
        study: Name of the study that all workers share.
        workers: How many share it.
        worker: Which of them this is, from 0.
        trials: Budget in trials over the whole study; none for no limit.
        minutes: Budget in minutes from the study's start; none for no limit.
        finding: Row of `ledger.search_findings` that is used again instead of a search; none to search.
        note: In words, what is going to happen.
    """

    training_set: TrainingSet
    study: str
    workers: int
    worker: int = 0
    trials: int | None = None
    minutes: float | None = None
    finding: int | None = None
    note: str = ""

    @property
    def shares(self) -> list[PlannedSearch]:
        """The same search for each of its workers."""
        return [self.model_copy(update={"worker": worker}) for worker in range(self.workers)]


class Tuning(Ref):
    """What a search found, to train with; `uri` names the study, `rows` counts its finished trials.

    Attributes:
        training_set: What it was searched on, and is trained on.
        family: Model family, `own` for that of model.py.
        parameters: What the model is built with.
        features: Columns that the model takes; none for all.
        value: Mean loss over the folds of the best trial; none where nothing was searched.
    """

    training_set: TrainingSet
    family: str
    parameters: dict[str, Any]
    features: tuple[str, ...] = ()
    value: float | None = None


class Candidate(Ref):
    """A trained model in MLflow; `uri` is its `models:/m-…` address.

    Attributes:
        fingerprints: What it was made from besides its rows, see `mlforge.fingerprints`; and `plan`, what was fitted.
    """

    run_id: str
    model_name: str
    model_version: int
    training_set: TrainingSet
    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]
    fingerprints: dict[str, str] = {}


class GateDecision(Ref):
    """Whether a candidate may become champion, with the figures; `uri` names the promotion card."""

    passed: bool
    reasons: tuple[str, ...]
    candidate: Candidate
    champion_release: int | None


class Release(Ref):
    """A row of the release ledger: the champion from then on. `uri` is the model's address."""

    release_id: int
    model_name: str
    model_version: int
    bento: str
    feature_service: str
    parent_id: int | None


class Deployment(Ref):
    """A release that answers behind the gateway; `uri` is its public address."""

    release_id: int
    deployment_id: int
    port: int
    smoke_requests: int


class DriftReport(Ref):
    """Drift of one partition against the training set; `uri` names the HTML page.

    Attributes:
        drifted: Columns that differ.
        scores: Column to PSI.
        performance: Scores of the receipts; always with `predictions`, their number.
        findings: Column to what its score does not tell, such as that it is missing.
    """

    drifted: tuple[str, ...]
    scores: dict[str, float]
    performance: dict[str, float]
    findings: dict[str, str] = {}


def hash_files(paths: list[Path]) -> str:
    """Return the first 12 digits of the SHA-256 over names and contents, in the order of the names."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@functools.cache
def code_version(use_case_folder: Path | None = None) -> str:
    """Return the version of the code that computes a use case: the library's files and the use case's own."""
    files = [path for path in Path(__file__).parent.rglob("*.py")]
    if use_case_folder is not None:
        files += [path for path in use_case_folder.rglob("*") if path.suffix in {".py", ".sql", ".yaml"}]
    return hash_files(files)
