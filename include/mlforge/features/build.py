"""Feature tables: `features/<view>.sql` computed for partitions, each stored exactly once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from mlforge import db
from mlforge.errors import FeatureError
from mlforge.features.inputs import read_inputs
from mlforge.features.tables import create_table, read_columns
from mlforge.refs import STATIC_KEY, FeaturePartition, PartitionRange, code_version
from mlforge.spec import UseCase

_HASH = """
SELECT count(*), encode(sha256(convert_to(
    coalesce(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE "C"), ''), 'UTF8')), 'hex')
FROM {} AS t
"""
_NEWEST = """
SELECT rows, content_hash, inputs, code_version FROM ledger.feature_publications
WHERE use_case = %s AND view = %s AND partition_key = %s
ORDER BY feature_publication_id DESC LIMIT 1
"""
_RECORD = """
INSERT INTO ledger.feature_publications
    (use_case, view, partition_key, rows, content_hash, inputs, code_version, run_id)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
_MISSING = """
SELECT dataset, partition_key FROM unnest(%(datasets)s::text[], %(keys)s::text[]) AS needed (dataset, partition_key)
WHERE NOT EXISTS (
    SELECT FROM ledger.publications AS p
    WHERE p.use_case = %(use_case)s AND p.dataset = needed.dataset AND p.partition_key = needed.partition_key)
ORDER BY partition_key, dataset
"""
# From this many changed rows on, the planner should hear of them before the next join.
_ANALYZE_FROM = 10_000


@dataclass(frozen=True)
class _Built:
    rows: int
    content_hash: str
    changed: bool


@dataclass(frozen=True)
class _Origin:
    """What a partition was made from: publications, code, run."""

    inputs: str
    code_version: str
    run_id: str | None


def build_features(use_case: UseCase, days: PartitionRange, *, run_id: str | None = None) -> FeaturePartition:
    """Compute every feature view for the days; a partition whose content is the same already is left alone.

    Args:
        use_case: Whose views.
        days: One day or many; a static view is computed once, for the key `static`.
        run_id: What the ledger notes as the run.

    Raises:
        FeatureError: A partition of a dataset is not published, or a view's SQL fails or gives wrong columns.
    """
    version = code_version(use_case.folder)
    views: dict[str, int] = {}
    changed = 0
    digest = hashlib.sha256()
    with db.connect(autocommit=True) as connection:
        _require_published(connection, use_case, days)
        _index_known_at(connection, use_case)
        for name, view in use_case.features.items():
            parts = _partitions(view.static, days)
            inputs = read_inputs(connection, use_case, name, [key for key, _ in parts])
            query = _View(connection, use_case, name, days)
            built = [query.build(key, part, _Origin(inputs.get(key, ""), version, run_id)) for key, part in parts]
            query.close()
            views[name] = sum(item.rows for item in built)
            changed += sum(item.changed for item in built)
            if sum(item.rows for item in built if item.changed) >= _ANALYZE_FROM:
                connection.execute(sql.SQL("ANALYZE {}").format(query.table))
            for item in built:
                digest.update(item.content_hash.encode())
    return FeaturePartition(
        use_case=use_case.name,
        partition_key=days.key,
        uri=f"postgresql:features.{use_case.name}__*",
        rows=sum(views.values()),
        content_hash=digest.hexdigest(),
        code_version=version,
        views=views,
        changed=changed,
    )


def _partitions(static: bool, days: PartitionRange) -> list[tuple[str, PartitionRange]]:
    return [(STATIC_KEY, days)] if static else [(day.key, day) for day in days]


class _View:
    """A view being computed: its SQL, its table, and a temporary table with the rows of one partition."""

    def __init__(self, connection: psycopg.Connection[Any], use_case: UseCase, name: str, days: PartitionRange) -> None:
        self._connection = connection
        self._use_case = use_case
        self._name = name
        self._where = f"{use_case.name}, features/{name}.sql"
        self._text = use_case.sql(f"features/{name}.sql").strip().rstrip(";")
        self.table = sql.Identifier("features", use_case.view_table(name))
        self._fresh = sql.Identifier("pg_temp", f"fresh_{name}")
        self._prepare(days)

    def _prepare(self, days: PartitionRange) -> None:
        with self._connection.transaction():
            db.lock_partition(self._connection, self._use_case.name, "feature table", self._name)
            columns = read_columns(self._connection, self._text, _bind(days.key, days), self._where)
            create_table(self._connection, self._use_case.view_table(self._name), columns, self._where)
        names = [sql.Identifier(column.name) for column in columns]
        self._columns = sql.SQL(", ").join(names)
        self._connection.execute(
            sql.SQL("CREATE TEMP TABLE {} ON COMMIT DELETE ROWS AS SELECT {}, partition_key FROM {} LIMIT 0").format(
                sql.Identifier(f"fresh_{self._name}"), self._columns, self.table
            )
        )

    def build(self, key: str, days: PartitionRange, origin: _Origin) -> _Built:
        """Compute one partition and store it if its content changed, in one transaction."""
        names = (self._use_case.name, self._name, key)
        connection = self._connection
        try:
            with connection.transaction():
                db.lock_partition(connection, *names)
                newest = connection.execute(_NEWEST, names).fetchone()
                if newest is not None and newest[2:] == (origin.inputs, origin.code_version):
                    return _Built(newest[0], newest[1], changed=False)
                self._compute(key, days)
                found = connection.execute(sql.SQL(_HASH).format(self._fresh)).fetchone()
                rows, content_hash = found if found is not None else (0, "")
                changed = newest is None or newest[:2] != (rows, content_hash)
                if changed:
                    self._replace(key)
                connection.execute(
                    _RECORD, [*names, rows, content_hash, origin.inputs, origin.code_version, origin.run_id]
                )
        except (psycopg.DataError, psycopg.ProgrammingError, psycopg.IntegrityError) as error:
            raise FeatureError(
                f"the view cannot be computed for {key}: {' '.join(str(error).split())}",
                where=self._where,
                hint="correct the SQL; it may give one row per entity, event_timestamp and known_at",
            ) from error
        return _Built(rows, content_hash, changed)

    def _compute(self, key: str, days: PartitionRange) -> None:
        head = sql.SQL("INSERT INTO {} ({}, partition_key) SELECT {}, %(partition_key)s FROM (").format(
            self._fresh, self._columns, self._columns
        )
        self._connection.execute(head + sql.SQL(self._text) + sql.SQL("\n) AS q"), _bind(key, days))

    def _replace(self, key: str) -> None:
        self._connection.execute(sql.SQL("DELETE FROM {} WHERE partition_key = %s").format(self.table), [key])
        self._connection.execute(
            sql.SQL("INSERT INTO {} ({c}, partition_key) SELECT {c}, partition_key FROM {}").format(
                self.table, self._fresh, c=self._columns
            )
        )

    def close(self) -> None:
        """Drop the temporary table."""
        self._connection.execute(sql.SQL("DROP TABLE {}").format(self._fresh))


def _bind(key: str, days: PartitionRange) -> dict[str, Any]:
    return {"start": days.start, "end": days.end, "partition_key": key}


def _require_published(connection: psycopg.Connection[Any], use_case: UseCase, days: PartitionRange) -> None:
    needed = [
        (name, key)
        for name, dataset in use_case.datasets.items()
        for key in (days.keys if dataset.partitioned else [STATIC_KEY])
    ]
    missing = connection.execute(
        _MISSING,
        {
            "use_case": use_case.name,
            "datasets": [dataset for dataset, _ in needed],
            "keys": [key for _, key in needed],
        },
    ).fetchall()
    if missing:
        raise FeatureError(
            "partitions that the features need are not published",
            where=f"{use_case.name}, {days.key}",
            evidence=[f"{dataset} {key}" for dataset, key in missing],
            hint="publish them first: `mlforge stage publish`",
        )


def _index_known_at(connection: psycopg.Connection[Any], use_case: UseCase) -> None:
    """Trailing windows read by `known_at`: without an index each one reads the whole table."""
    for name, dataset in use_case.datasets.items():
        table = use_case.table(name)
        if not dataset.partitioned:
            continue
        found = connection.execute(
            "SELECT FROM pg_indexes WHERE schemaname = 'warehouse' AND tablename = %s AND indexdef LIKE %s",
            [table, "%(known_at%"],
        ).fetchone()
        if found is None:
            connection.execute(
                sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} (known_at)").format(
                    sql.Identifier(f"{table}_known_at"), sql.Identifier("warehouse", table)
                )
            )
