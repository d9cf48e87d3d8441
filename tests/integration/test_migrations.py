import psycopg
import pytest

from mlforge import db
from mlforge.db.migrate import migrate
from mlforge.settings import Settings

pytestmark = pytest.mark.integration


def test_the_schemas_are_there_and_a_second_migration_changes_nothing(database: Settings) -> None:
    migrate()
    with db.connect() as connection:
        rows = connection.execute("SELECT schema_name FROM information_schema.schemata").fetchall()
    assert {"warehouse", "quarantine", "features", "online", "ledger"} <= {name for (name,) in rows}


def test_a_ledger_row_cannot_be_changed(database: Settings) -> None:
    with db.connect() as connection:
        connection.execute(
            "INSERT INTO ledger.publications (use_case, dataset, partition_key, version, attempt, rows_in,"
            " rows_published, rows_quarantined, rows_duplicate, content_hash, raw_uri, raw_hash, contract_version,"
            " code_version) VALUES ('u', 'd', '2013-01-01', 1, 1, 3, 1, 1, 1, 'h', 'r', 'h', '1', 'c')"
        )
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"), db.connect() as connection:
        connection.execute("UPDATE ledger.publications SET rows_in = 4")
