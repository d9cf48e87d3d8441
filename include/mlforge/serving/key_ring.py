"""What the gateway checks API keys with: the public half of the signing key, and the ids that were revoked."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import psycopg

from mlforge.credentials import read_secret, write_secret
from mlforge.errors import SettingsError
from mlforge.settings import get_settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

SIGNING_SECRET = "gateway_signing_key"  # noqa: S105  (the name of a secret)


def signing_key() -> EllipticCurvePrivateKey:
    """Return the key that signs tokens, generated at its first use; it never leaves this installation.

    Raises:
        SettingsError: The secret holds no such key.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    secrets = get_settings().secrets_dir
    try:
        text = read_secret(secrets, SIGNING_SECRET, generate=False)
    except SettingsError:
        if (secrets / SIGNING_SECRET).exists():
            raise
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_secret(secrets, SIGNING_SECRET, pem.decode("ascii"), replace=False)
        text = read_secret(secrets, SIGNING_SECRET, generate=False)
    try:
        key = serialization.load_pem_private_key(text.encode("ascii"), password=None)
    except ValueError as error:
        raise SettingsError(
            f"the secret {SIGNING_SECRET} holds no private key", hint="remove it; keys are issued anew"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise SettingsError(f"the secret {SIGNING_SECRET} holds a key of another kind", hint="remove it")
    return key


def key_set() -> dict[str, Any]:
    """Return the public key as a JSON Web Key Set: all that the gateway needs."""
    numbers = signing_key().public_key().public_numbers()
    point: Mapping[str, str] = {"x": _base64(numbers.x), "y": _base64(numbers.y)}
    kid = hashlib.sha256(f"{point['x']}.{point['y']}".encode()).hexdigest()[:16]
    return {"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid, **point}]}


def _base64(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode("ascii")


def revoked_ids(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the ids of keys that were revoked before they expire."""
    query = (
        "SELECT key_id FROM ledger.api_keys WHERE revoked_at IS NOT NULL AND expires_at > clock_timestamp()"
        " ORDER BY key_id"
    )
    return [str(key_id) for (key_id,) in connection.execute(query).fetchall()]
