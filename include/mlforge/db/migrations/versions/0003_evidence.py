"""Tables for searches, evidence, training requests and the walk through history: one SQL file per topic."""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables."""
    folder = Path(__file__).parents[1] / "sql" / "0003"
    for path in sorted(folder.glob("*.sql")):
        # The driver itself: SQLAlchemy would read a per cent sign as a placeholder.
        op.get_bind().connection.cursor().execute(path.read_text(encoding="utf-8"))


def downgrade() -> None:
    """Keep the tables: the ledger is never thrown away by going back."""
