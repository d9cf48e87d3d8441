"""Connections to other systems, by the names that they have in Airflow; no secret of them is ever shown.

The library knows no Airflow. Whoever runs inside it gives a resolver; in a terminal, `AIRFLOW_CONN_<NAME>` in the
environment holds the connection, as Airflow itself reads it: a URI, or JSON.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

from mlforge.errors import SettingsError

_SHOWN = "***"
_SHORTEST_SECRET = 3  # shorter ones are in every text


@dataclass(frozen=True)
class Connection:
    """How to reach another system.

    Attributes:
        name: Its name in Airflow.
        kind: Its type in Airflow: `postgres`, `aws`, `http`, …
        schema: Database of a database, `https` of an HTTP service.
        extra: What else there is.
        sql_url: SQLAlchemy's address of a database, when whoever resolved it knows it; with the password.
    """

    name: str
    kind: str
    host: str = ""
    port: int | None = None
    login: str = ""
    password: str = field(default="", repr=False)
    schema: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sql_url: str | None = field(default=None, repr=False)

    @property
    def secrets(self) -> list[str]:
        """What no message may hold, the longest first."""
        texts = {self.password, quote(self.password, safe=""), *_texts(self.extra)}
        if self.sql_url:
            found = urlsplit(self.sql_url).password or ""
            texts |= {self.sql_url, found, unquote(found)}
        return sorted((text for text in texts if len(text) >= _SHORTEST_SECRET), key=len, reverse=True)

    def redact(self, text: object) -> str:
        """Return a text on one line, without the secrets of this connection."""
        shown = " ".join(str(text).split())
        for secret in self.secrets:
            shown = shown.replace(secret, _SHOWN)
        return shown


Resolver = Callable[[str], Connection | None]
_resolvers: list[Resolver] = []


def use_resolver(resolver: Resolver) -> None:
    """Ask a resolver for connections from now on; it returns None for a name that it does not know."""
    if resolver not in _resolvers:
        _resolvers.insert(0, resolver)


def resolve_connection(name: str) -> Connection:
    """Return the connection of a name: what a resolver gives, else what the environment has.

    Raises:
        SettingsError: There is none, or it cannot be read; the message holds no value of it.
    """
    for resolver in _resolvers:
        found = resolver(name)
        if found is not None:
            return found
    variable = variable_of(name)
    text = os.environ.get(variable)
    if not text:
        tried = "neither in Airflow nor in the environment" if _resolvers else "in the environment"
        raise SettingsError(
            f"there is no connection {name!r} {tried}",
            hint=f"add it in Airflow under Admin → Connections, or set {variable} to its URI",
        )
    return read_connection(name, text)


def variable_of(name: str) -> str:
    """Return the environment variable that holds a connection, in Airflow too."""
    return f"AIRFLOW_CONN_{name.upper()}"


def read_connection(name: str, text: str) -> Connection:
    """Return the connection that a URI or a JSON object describes, as Airflow writes it.

    Raises:
        SettingsError: It is neither.
    """
    try:
        return _from_json(name, text) if text.lstrip().startswith("{") else _from_uri(name, text)
    except (ValueError, TypeError, AttributeError):
        # The error that was raised may quote the text, which holds a password.
        raise SettingsError(
            f"the connection {name!r} is neither a URI nor JSON", hint=f"correct {variable_of(name)}"
        ) from None


def _from_json(name: str, text: str) -> Connection:
    value = json.loads(text)
    extra = value.get("extra") or {}
    return Connection(
        name=name,
        kind=_kind(value.get("conn_type", "")),
        host=value.get("host") or "",
        port=int(value["port"]) if value.get("port") else None,
        login=value.get("login") or "",
        password=value.get("password") or "",
        schema=value.get("schema") or "",
        extra=json.loads(extra) if isinstance(extra, str) else dict(extra),
    )


def _from_uri(name: str, text: str) -> Connection:
    parts = urlsplit(text)
    extra: dict[str, Any] = dict(parse_qsl(parts.query, keep_blank_values=True))
    if "__extra__" in extra:
        extra = json.loads(extra["__extra__"])
    return Connection(
        name=name,
        kind=_kind(parts.scheme),
        host=unquote(parts.hostname or ""),
        port=parts.port,
        login=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        schema=unquote(parts.path.removeprefix("/")),
        extra=extra,
    )


def _kind(text: str) -> str:
    if not text:
        raise ValueError("no type")
    kind = text.lower().replace("-", "_")
    return "postgres" if kind == "postgresql" else kind


def _texts(value: object) -> list[str]:
    """Return the values of `extra` whose names say that they are secret, however deep they lie."""
    if not isinstance(value, Mapping):
        return []
    found = []
    for name, inner in value.items():
        secret = any(word in str(name).lower() for word in ("secret", "password", "token", "key", "auth"))
        if secret and isinstance(inner, str):
            found.append(inner)
        found += _texts(inner)
    return found


def without_password(url: str) -> str:
    """Return a URL without user, password and query: what may be shown and kept."""
    parts = urlsplit(url)
    if not parts.scheme or ("@" not in parts.netloc and not parts.query):
        return url
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def s3_options(connection: Connection) -> dict[str, Any]:
    """Return what s3fs needs to know of an Airflow connection to AWS, or to another S3."""
    extra = connection.extra
    service = (extra.get("service_config") or {}).get("s3") or {}
    given = {
        "key": connection.login or extra.get("aws_access_key_id"),
        "secret": connection.password or extra.get("aws_secret_access_key"),
        "token": extra.get("aws_session_token"),
        "endpoint_url": service.get("endpoint_url") or extra.get("endpoint_url"),
    }
    region = extra.get("region_name")
    return {
        **{name: value for name, value in given.items() if value},
        "client_kwargs": {"region_name": region} if region else {},
    }
