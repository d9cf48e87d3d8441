import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlforge.credentials import read_secret, write_secret
from mlforge.errors import SettingsError


def test_a_secret_is_made_once_and_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    value = read_secret(folder, "password")
    assert len(value) >= 32
    assert read_secret(folder, "password") == value
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "password").stat().st_mode) == 0o600


def test_all_who_ask_at_once_get_the_same_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda _: read_secret(tmp_path, "password"), range(32)))
    assert len(set(values)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["password"]


def test_a_secret_can_be_replaced(tmp_path: Path) -> None:
    read_secret(tmp_path, "password")
    write_secret(tmp_path, "password", "other")
    assert read_secret(tmp_path, "password") == "other"


def test_a_missing_secret_that_may_not_be_made_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="make up"):
        read_secret(tmp_path, "password", generate=False)


def test_a_directory_that_cannot_be_used_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="Not a directory"):
        read_secret(tmp_path / "file", "password")
