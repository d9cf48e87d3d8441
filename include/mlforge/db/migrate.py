"""Migrations of the project's database, by Alembic."""

from __future__ import annotations

from pathlib import Path

from mlforge.settings import get_settings


def migrate() -> None:
    """Bring the database to the newest schema; a schema that is there already is left alone."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    # Alembic reads `%` as interpolation.
    config.set_main_option("sqlalchemy.url", get_settings().postgres_url(driver="psycopg").replace("%", "%%"))
    command.upgrade(config, "head")
