"""Feast's feature store of this installation: all of it on the project's PostgreSQL, or online features in Redis."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from mlforge.errors import SettingsError
from mlforge.settings import get_settings

if TYPE_CHECKING:
    from feast import FeatureStore

PROJECT = "mlforge"
_open: dict[tuple[int, str, str | None], FeatureStore] = {}


def store_environment() -> dict[str, str]:
    """Return the variables that `feature_repo/feature_store.yaml` needs, with the password; never log them."""
    settings = get_settings()
    parts = urlsplit(settings.postgres_url())
    return {
        "MLFORGE_FEAST_REGISTRY": settings.postgres_url(driver="psycopg"),
        "MLFORGE_FEAST_HOST": parts.hostname or "127.0.0.1",
        "MLFORGE_FEAST_PORT": str(parts.port or 5432),
        "MLFORGE_FEAST_DATABASE": parts.path.lstrip("/"),
        "MLFORGE_FEAST_USER": unquote(parts.username or ""),
        "MLFORGE_FEAST_PASSWORD": unquote(parts.password or ""),
        # The server of our own has no TLS and listens on the loopback only.
        "MLFORGE_FEAST_SSLMODE": "prefer" if settings.database_url else "disable",
    }


def store_config() -> dict[str, Any]:
    """Return Feast's configuration: what `feature_store.yaml` says, filled in."""
    import yaml

    path = get_settings().root / "feature_repo" / "feature_store.yaml"
    config: dict[str, Any] = _fill(yaml.safe_load(path.read_text(encoding="utf-8")), store_environment())
    url = online_store_url()
    if url is not None:
        config["online_store"] = {"type": "mlforge.features.stores.redis.GuardedRedisOnlineStore", "url": url}
    return config


def online_store_url() -> str | None:
    """Return the address of the Redis that keeps online features, None where PostgreSQL does; never log it.

    Raises:
        SettingsError: It is no address of a Redis.
    """
    url = get_settings().online_store_url
    if url is not None and not url.startswith(("redis://", "rediss://", "unix://")):
        raise SettingsError(
            "MLFORGE_ONLINE_STORE_URL names no Redis", hint="write redis://host:port/0, or unset it for PostgreSQL"
        )
    return url


def online_store_kind() -> str:
    """Return which online store this installation uses: `postgresql` or `redis`."""
    return "postgresql" if get_settings().online_store_url is None else "redis"


def _fill(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _fill(item, names) for key, item in value.items()}
    if isinstance(value, str) and value.startswith("${") and value.endswith("}"):
        return names[value[2:-1]]
    return value


def open_store() -> FeatureStore:
    """Return the feature store of this process; a forked child gets one of its own.

    Raises:
        ServiceUnavailableError: PostgreSQL does not answer.
    """
    settings = get_settings()
    key = (os.getpid(), settings.postgres_url(), settings.online_store_url)
    if key not in _open:
        _open.clear()
        _open[key] = _connect_store()
    return _open[key]


def _connect_store() -> FeatureStore:
    from feast import FeatureStore, RepoConfig
    from sqlalchemy.exc import OperationalError

    from mlforge.errors import ServiceUnavailableError

    # It warns that a cached registry may show a view as still materializing: such a view is served, by our setting.
    logging.getLogger("feast.repo_config").setLevel(logging.ERROR)
    config = RepoConfig(**store_config())
    config.repo_path = get_settings().root / "feature_repo"
    try:
        return FeatureStore(config=config)
    except OperationalError as error:
        raise ServiceUnavailableError(
            "the feature registry cannot be read", where="feast", hint="see `mlforge status`"
        ) from error


def close_store() -> None:
    """Close this process's feature store and its connections."""
    for (process, *_), store in list(_open.items()):
        if process == os.getpid():
            close = getattr(online_store(store), "close_pool", None)
            if close is not None:
                close()
            end_refresh = getattr(store.registry, "_exit_handler", None)
            if end_refresh is not None:
                end_refresh()
    _open.clear()


def online_store(store: FeatureStore) -> Any:
    """Return Feast's online store object of a feature store."""
    return store._get_provider().online_store
