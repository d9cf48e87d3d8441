"""Releases that were made before versions existed."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from mlforge import db
from mlforge.settings import Settings

pytestmark = pytest.mark.integration
_ROW = """
    INSERT INTO ledger.releases (
        use_case, sequence, parent_id, kind, partition_key, model_name, model_version, model_uri, mlflow_run_id,
        content_hash, bento, feature_service, training_set, evidence, traffic_plan, code_version, who, why
    ) VALUES (
        %(use_case)s, %(sequence)s, %(parent)s, %(kind)s, '2013-04-01', 'm', 1, %(uri)s, 'r',
        'h', 'b', 'f', '{}', '{}', '{}', 'c', 'ann', 'because'
    ) RETURNING release_id
"""


def test_earlier_releases_are_numbered_and_nothing_else_of_them_changes(database: Settings) -> None:
    path = Path(str(db.__file__)).parent / "migrations" / "sql" / "0003" / "30_releases.sql"
    with db.connect() as connection:
        connection.execute("DROP TABLE ledger.repairs")
        connection.execute("ALTER TABLE ledger.releases DROP COLUMN version, DROP COLUMN fingerprints")
        for use_case, journal in (("first", "a+ b+ a- c+"), ("second", "x+")):
            parent = None
            for sequence, entry in enumerate(journal.split(), start=1):
                kind = "promote" if entry[1] == "+" else "rollback"
                values = {
                    "use_case": use_case, "sequence": sequence, "parent": parent, "kind": kind, "uri": entry[0]
                }  # fmt: skip
                row = connection.execute(_ROW, values).fetchone()
                assert row is not None
                parent = row[0]
        before = connection.execute("SELECT to_jsonb(r) FROM ledger.releases AS r ORDER BY release_id").fetchall()
    with db.connect() as connection:
        connection.execute(path.read_text(encoding="utf-8").encode())
    with db.connect() as connection:
        after = connection.execute("SELECT to_jsonb(r) FROM ledger.releases AS r ORDER BY release_id").fetchall()
    assert [row["version"] for (row,) in after] == ["1.0.0", "1.0.1", "1.0.0", "1.0.2", "1.0.0"]
    assert [{**row, "version": "?", "fingerprints": {}} for (row,) in before] == [
        {**row, "version": "?"} for (row,) in after
    ]
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"), db.connect() as connection:
        connection.execute("UPDATE ledger.releases SET version = '9.0.0'")
