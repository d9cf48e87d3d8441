"""Dataset versions in the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg.rows import class_row

from mlforge.versions.metadata import Version
from mlforge.versions.names import Series, VersionName

_INSERT: LiteralString = """
    INSERT INTO ledger.dataset_versions (use_case, dataset, version, number, kind, partitions, rows, bytes,
        content_hash, publication_ids, training_set_hash, contract_version, code_version, git_commit, who, note, run_id,
        created_at)
    SELECT %(use_case)s, %(dataset)s, %(version)s, %(number)s, %(kind)s, %(partitions)s, %(rows)s, %(bytes)s,
        %(content_hash)s,
        -- A version that came with a clone may be of another installation: only what this ledger knows is linked.
        (SELECT coalesce(array_agg(p.publication_id ORDER BY p.publication_id), '{}') FROM ledger.publications AS p
         JOIN unnest(%(publication_ids)s::bigint[], %(publication_hashes)s::text[]) AS v(id, hash)
             ON p.publication_id = v.id AND p.content_hash = v.hash
         WHERE p.use_case = %(use_case)s AND p.dataset = %(dataset)s),
        %(training_set_hash)s, %(contract_version)s, %(code_version)s, %(git_commit)s, %(who)s, %(note)s, %(run_id)s,
        %(created_at)s
    ON CONFLICT DO NOTHING
"""
_LIST: LiteralString = """
    SELECT use_case, dataset, version, number, kind, partitions, rows, bytes, content_hash, publication_ids,
           training_set_hash, contract_version, code_version, git_commit, who, note, run_id, created_at
    FROM ledger.dataset_versions WHERE use_case = %(use_case)s ORDER BY dataset, number
"""


@dataclass(frozen=True)
class VersionRecord:
    """A row of the ledger about a version.

    Attributes:
        bytes: Of all its files.
        publication_ids: Ledger rows of its partitions.
        training_set_hash: Of the training set that it holds, if it holds one.
        created_at: UTC.
    """

    use_case: str
    dataset: str
    version: str
    number: int
    kind: str
    partitions: int
    rows: int
    bytes: int
    content_hash: str
    publication_ids: list[int]
    training_set_hash: str | None
    contract_version: str | None
    code_version: str
    git_commit: str
    who: str
    note: str
    run_id: str | None
    created_at: datetime

    @property
    def name(self) -> VersionName:
        """Its name."""
        return VersionName(Series(self.use_case, self.dataset), self.version)


def record_version(connection: psycopg.Connection[Any], version: Version, commit: str) -> None:
    """Write a version into the ledger, unless it is there."""
    published = [file for file in version.files if file.publication_id is not None]
    row = {
        **version.model_dump(include={"use_case", "dataset", "version", "number", "kind", "rows", "bytes"}),
        **version.model_dump(include={"content_hash", "contract_version", "code_version", "who", "note", "run_id"}),
        "created_at": version.created_at,
        "partitions": len(version.files),
        "publication_ids": [file.publication_id for file in published],
        "publication_hashes": [file.publication_hash for file in published],
        "training_set_hash": version.files[0].sha256 if version.kind == "training_set" else None,
        "git_commit": commit,
    }
    connection.execute(_INSERT, row)


def recorded_versions(connection: psycopg.Connection[Any], use_case: str) -> list[VersionRecord]:
    """Return the versions of a use case, by dataset, oldest first."""
    with connection.cursor(row_factory=class_row(VersionRecord)) as cursor:
        return cursor.execute(_LIST, {"use_case": use_case}).fetchall()
