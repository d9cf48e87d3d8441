"""The first schema: one SQL file per room."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the schemas and the ledger's tables."""
    folder = Path(__file__).parents[1] / "sql" / "0001"
    for path in sorted(folder.glob("*.sql")):
        # The driver itself: SQLAlchemy would read a per cent sign as a placeholder.
        op.get_bind().connection.cursor().execute(path.read_text(encoding="utf-8"))


def downgrade() -> None:
    """Drop everything that the upgrade created."""
    for schema in ("warehouse", "quarantine", "features", "online", "feast", "ledger", "staging"):
        op.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
