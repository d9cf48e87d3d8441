"""Airflow's connections, as the library knows them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from mlforge.connections import Connection, use_resolver

if TYPE_CHECKING:
    from airflow.sdk import Connection as AirflowConnection

log = logging.getLogger(__name__)

# Their fields are enough. For every other kind the provider's hook knows SQLAlchemy's address.
_PLAIN = ("postgres", "http", "https", "generic")


def use_airflow_connections() -> None:
    """Let the library ask Airflow for connections, in this process."""
    use_resolver(airflow_connection)


def airflow_connection(name: str) -> Connection | None:
    """Return a connection of Airflow's: from its secrets backend, the environment or its database; None for no such.

    Credentials of AWS come from the amazon provider's hook, which also assumes roles and reads profiles.
    """
    try:
        found = BaseHook.get_connection(name)
    except AirflowNotFoundException:
        return None
    if found.conn_type == "aws":
        return _aws_connection(found)
    return Connection(
        name=name,
        kind=found.conn_type or "",
        host=found.host or "",
        port=found.port,
        login=found.login or "",
        password=found.password or "",
        schema=found.schema or "",
        extra=found.extra_dejson,
        sql_url=_sql_url(found),
    )


def _aws_connection(found: AirflowConnection) -> Connection:
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    hook = S3Hook(aws_conn_id=found.conn_id)
    credentials = hook.get_credentials()
    extra = {
        "aws_session_token": credentials.token,
        "endpoint_url": hook.conn_config.get_service_endpoint_url("s3"),
        "region_name": hook.region_name,
    }
    return Connection(
        name=found.conn_id,
        kind="aws",
        login=credentials.access_key,
        password=credentials.secret_key,
        extra={key: value for key, value in extra.items() if value},
    )


def _sql_url(found: AirflowConnection) -> str | None:
    """Return SQLAlchemy's address of a database, with its password; None where no hook knows it."""
    if found.conn_type in _PLAIN and not found.extra_dejson.get("iam"):
        return None
    try:
        hook: Any = cast(Any, found).get_hook()
        url = hook.sqlalchemy_url if hasattr(type(hook), "sqlalchemy_url") else hook.get_uri()
        return str(url.render_as_string(hide_password=False)) if hasattr(url, "render_as_string") else str(url)
    except (AirflowException, NotImplementedError, ImportError, AttributeError) as error:
        log.debug("no SQL address of %s: %s", found.conn_id, type(error).__name__)
        return None
