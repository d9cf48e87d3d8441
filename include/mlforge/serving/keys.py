"""API keys: signed tokens that the gateway checks with a public key; the ledger holds only what they are for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row

from mlforge.credentials import read_secret, write_secret
from mlforge.db import connect
from mlforge.errors import ServingError, SettingsError
from mlforge.serving.gateway import refresh_gateway
from mlforge.serving.key_ring import key_set, signing_key
from mlforge.settings import get_settings
from mlforge.spec import list_use_cases

ISSUER = "mlforge"
AUDIENCE = "gateway"
DEMO_SECRET = "demo_api_key"  # noqa: S105  (the name of a secret)
DEMO_NAME = "demo"
DEMO_DAYS = 30
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_SCOPE = re.compile(r"[a-z][a-z0-9_]{0,40}:predict")


@dataclass(frozen=True)
class ApiKey:
    """What is known of a key; the token itself is kept nowhere.

    Attributes:
        scopes: Such as `flight_delays:predict`.
        expires_at: UTC.
    """

    key_id: UUID
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None

    @property
    def usable(self) -> bool:
        """Whether the gateway takes it now."""
        return self.revoked_at is None and self.expires_at > datetime.now(UTC)


def issue_key(name: str, scopes: Sequence[str], days: int = 90) -> str:
    """Return a new token; it cannot be shown again.

    Args:
        name: Who it is for; receipts name it.
        scopes: What it may do, each `<use_case>:predict`.
        days: How long it is valid.

    Raises:
        ServingError: The name is taken by a key that is valid, or name, scopes or days are none.
    """
    _check(name, scopes, days)
    import jwt

    now = datetime.now(UTC).replace(microsecond=0)
    key_id = uuid4()
    row = {"key_id": key_id, "name": name, "scopes": list(scopes), "expires_at": now + timedelta(days=days)}
    try:
        with connect() as connection:
            connection.execute(
                "UPDATE ledger.api_keys SET revoked_at = clock_timestamp()"
                " WHERE name = %(name)s AND revoked_at IS NULL AND expires_at <= clock_timestamp()",
                row,
            )
            connection.execute(
                "INSERT INTO ledger.api_keys (key_id, name, scopes, expires_at)"
                " VALUES (%(key_id)s, %(name)s, %(scopes)s, %(expires_at)s)",
                row,
            )
    except psycopg.errors.UniqueViolation as error:
        raise ServingError(
            f"there is a key {name!r} already", hint=f"choose another name, or run `mlforge keys revoke {name}`"
        ) from error
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": name,
        "jti": str(key_id),
        "scope": list(scopes),
        "iat": now,
        "exp": now + timedelta(days=days),
    }
    return jwt.encode(claims, signing_key(), algorithm="ES256", headers={"kid": key_set()["keys"][0]["kid"]})


def _check(name: str, scopes: Sequence[str], days: int) -> None:
    if not _NAME.fullmatch(name):
        raise ServingError(f"{name!r} is no name of a key", hint="use letters, digits, `.`, `_` and `-`")
    wrong = [scope for scope in scopes if not _SCOPE.fullmatch(scope)]
    if wrong or not scopes:
        raise ServingError("a key needs scopes", evidence=wrong, hint="write them as flight_delays:predict")
    if not 1 <= days <= 3660:
        raise ServingError(f"a key cannot be valid for {days} days", hint="choose 1 to 3660")


def revoke_key(name: str) -> bool:
    """Revoke the key of that name and tell the gateway; return False if there is none that is valid."""
    with connect() as connection:
        revoked = connection.execute(
            "UPDATE ledger.api_keys SET revoked_at = clock_timestamp() WHERE name = %(name)s AND revoked_at IS NULL",
            {"name": name},
        ).rowcount
    refresh_gateway(wait=False)
    return revoked > 0


def list_keys() -> list[ApiKey]:
    """Return every key that was ever issued, newest first."""
    query = "SELECT key_id, name, scopes, created_at, expires_at, revoked_at FROM ledger.api_keys ORDER BY created_at"
    with connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query).fetchall()
    return [ApiKey(**{**row, "scopes": tuple(row["scopes"])}) for row in reversed(rows)]


def demo_key() -> str:
    """Return the key of the demo and the README, for every use case; made anew when it is missing or expires soon."""
    secrets = get_settings().secrets_dir
    scopes = [f"{name}:predict" for name in list_use_cases()]
    known = {str(key.key_id): key for key in list_keys() if key.usable}
    try:
        token = read_secret(secrets, DEMO_SECRET, generate=False)
        claims = read_claims(token)
    except SettingsError:
        claims = {}
    key = known.get(str(claims.get("jti")))
    if key and set(scopes) <= set(key.scopes) and key.expires_at > datetime.now(UTC) + timedelta(days=1):
        return token
    if any(other.name == DEMO_NAME for other in known.values()):
        revoke_key(DEMO_NAME)
    token = issue_key(DEMO_NAME, scopes, DEMO_DAYS)
    write_secret(secrets, DEMO_SECRET, token)
    return token


def read_claims(token: str) -> dict[str, Any]:
    """Return what a token says, empty if it was not signed here or has expired."""
    import jwt

    try:
        claims: dict[str, Any] = jwt.decode(
            token, signing_key().public_key(), algorithms=["ES256"], audience=AUDIENCE, issuer=ISSUER
        )
    except jwt.InvalidTokenError:
        return {}
    return claims
