"""What a version says of itself: `version.yaml` beside its files, in git."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Literal

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from mlforge.errors import DataVersionError
from mlforge.versions.names import Series, VersionName

Kind = Literal["dataset", "training_set"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class VersionFile(_Model):
    """One file of a version.

    Attributes:
        partition: Key of the partition, or `training-set`.
        name: File name.
        bytes: Its size.
        sha256: Of the file, hexadecimal.
        md5: Of the file: DVC's address of it.
        publication_id: The ledger row that published these rows.
        publication_version: Its place among the publications of the partition.
        publication_hash: SHA-256 of the rows, as the ledger has it.
    """

    partition: str
    name: str
    rows: int
    bytes: int
    sha256: str
    md5: str
    publication_id: int | None = None
    publication_version: int | None = None
    publication_hash: str | None = None


class VersionColumn(_Model):
    """A column of the files, with its Arrow type."""

    name: str
    type: str


class TrainingSetOrigin(_Model):
    """The training set that a version holds.

    Attributes:
        publications: Newest ledger row of each dataset that it was made from.
    """

    partition_key: str
    as_of: AwareDatetime
    uri: str
    feature_service: str
    publications: dict[str, int]


class Version(_Model):
    """All that is known of a version.

    Attributes:
        number: Its place in the series, from 1.
        key: Columns that name a row.
        content_hash: Over the hashes of its files.
        contract_version: Newest contract that its partitions were checked against.
        created_at: UTC.
    """

    use_case: str
    dataset: str
    version: str
    number: int
    kind: Kind
    rows: int
    bytes: int
    content_hash: str
    key: tuple[str, ...]
    columns: tuple[VersionColumn, ...]
    contract_version: str | None = None
    code_version: str
    created_at: AwareDatetime
    who: str
    note: str = ""
    run_id: str | None = None
    training_set: TrainingSetOrigin | None = None
    files: tuple[VersionFile, ...]

    @property
    def name(self) -> VersionName:
        """Its name."""
        return VersionName(Series(self.use_case, self.dataset), self.version)

    @property
    def publication_ids(self) -> list[int]:
        """Ledger rows of its partitions."""
        return [file.publication_id for file in self.files if file.publication_id is not None]


def hash_of_files(files: Iterable[VersionFile]) -> str:
    """Return one SHA-256, hexadecimal, over names and contents."""
    lines = "".join(f"{file.name}={file.sha256}\n" for file in sorted(files, key=lambda file: file.name))
    return hashlib.sha256(lines.encode()).hexdigest()


def write_yaml(version: Version) -> str:
    """Return the text of `version.yaml`, one line per column and file."""
    document = version.model_dump(mode="python", exclude={"files", "columns"}, exclude_none=True)
    document["key"] = list(version.key)
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    for name, rows in (("columns", version.columns), ("files", version.files)):
        lines = [_line(row.model_dump(exclude_none=True)) for row in rows]
        text += f"{name}:\n" + "".join(lines) if lines else f"{name}: []\n"
    return text


def _line(row: dict[str, object]) -> str:
    return "- " + yaml.safe_dump(row, sort_keys=False, default_flow_style=True, allow_unicode=True, width=10_000)


def read_yaml(text: str, where: str) -> Version:
    """Return the version that `write_yaml` wrote.

    Raises:
        DataVersionError: It is none.
    """
    try:
        document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 safe loaders both
        return Version.model_validate(document)
    except (yaml.YAMLError, ValidationError) as error:
        raise DataVersionError(
            f"it is not what was written: {' '.join(str(error).split())[:200]}",
            where=where,
            hint="restore the file by `git checkout` in the data repository",
        ) from error


def in_words(time: datetime) -> str:
    """Return an instant for people, UTC."""
    return f"{time:%Y-%m-%d %H:%M:%S}"
