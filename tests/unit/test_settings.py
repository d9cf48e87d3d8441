from collections.abc import Iterator

import pytest

from mlforge.errors import SettingsError
from mlforge.settings import Settings, get_settings


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def test_home_is_below_the_checkout_unless_it_is_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFORGE_HOME", "elsewhere")
    settings = Settings()
    assert settings.home == settings.root / "elsewhere"
    assert settings.storage == f"file://{settings.home}/storage"


def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFORGE_GATEWAY_PORT", "70000")
    with pytest.raises(SettingsError, match="MLFORGE_GATEWAY_PORT='70000'"):
        get_settings()


def test_an_external_server_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFORGE_DATABASE_URL", "postgresql://me@db.example:5432")
    url = Settings().postgres_url("airflow", driver="psycopg")
    assert url.startswith("postgresql+psycopg://me")
    assert url.endswith("@db.example:5432/airflow")
