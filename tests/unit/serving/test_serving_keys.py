"""API keys: what is signed, and that only the public half leaves."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from mlforge.errors import ServingError, SettingsError
from mlforge.serving.key_ring import SIGNING_SECRET, key_set, signing_key
from mlforge.serving.keys import issue_key, read_claims
from mlforge.settings import get_settings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installation without anything."""
    monkeypatch.setenv("MLFORGE_HOME", str(tmp_path))
    get_settings.cache_clear()
    yield tmp_path
    get_settings.cache_clear()


def test_the_signing_key_is_made_once_and_is_private(home: Path) -> None:
    first = signing_key().private_numbers()
    path = home / "secrets" / SIGNING_SECRET
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert signing_key().private_numbers() == first


def test_the_key_set_holds_only_the_public_half() -> None:
    (key,) = key_set()["keys"]
    assert set(key) == {"kty", "crv", "alg", "use", "kid", "x", "y"}
    token = jwt.encode({"a": 1}, signing_key(), algorithm="ES256")
    assert jwt.decode(token, jwt.PyJWK.from_dict(key).key, algorithms=["ES256"]) == {"a": 1}
    assert "PRIVATE" not in json.dumps(key_set())


def test_a_secret_that_is_no_key_is_told(home: Path) -> None:
    (home / "secrets").mkdir()
    (home / "secrets" / SIGNING_SECRET).write_text("nonsense")
    with pytest.raises(SettingsError, match=SIGNING_SECRET):
        signing_key()


def test_a_token_of_someone_else_says_nothing() -> None:
    signing_key()
    assert read_claims("nonsense") == {}
    assert read_claims(jwt.encode({"iss": "mlforge", "aud": "gateway"}, "x" * 32, algorithm="HS256")) == {}


@pytest.mark.parametrize(
    ("name", "scopes", "days"),
    [
        ("", ["flight_delays:predict"], 1),
        ("a b", ["flight_delays:predict"], 1),
        ("a\n", ["flight_delays:predict"], 1),
        ("a", [], 1),
        ("a", ["flight_delays"], 1),
        ("a", ["Flight:predict"], 1),
        ("a", ["flight_delays:predict"], 0),
        ("a", ["flight_delays:predict"], 100_000),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(name: str, scopes: list[str], days: int) -> None:
    with pytest.raises(ServingError):
        issue_key(name, scopes, days)
