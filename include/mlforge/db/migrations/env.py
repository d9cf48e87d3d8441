"""Alembic's environment: one connection, one transaction, one process at a time."""

from alembic import context
from sqlalchemy import NullPool, create_engine, text

engine = create_engine(context.config.get_main_option("sqlalchemy.url", ""), poolclass=NullPool)
with engine.begin() as connection:
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('mlforge.migrations', 0))"))
    context.configure(connection=connection, target_metadata=None, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
