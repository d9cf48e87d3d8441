"""The generator of `.env`: random passwords, for its owner only, and what is there stays."""

from __future__ import annotations

import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[3] / "deploy" / "compose" / "make_env.sh"


def generate(path: Path) -> dict[str, str]:
    subprocess.run(["sh", str(SCRIPT), str(path)], check=True, capture_output=True)
    return dict(line.split("=", 1) for line in path.read_text(encoding="ascii").splitlines())


def test_passwords_are_random_and_the_file_is_private(tmp_path: Path) -> None:
    first, second = generate(tmp_path / "a"), generate(tmp_path / "b")
    passwords = [name for name in first if name.endswith("PASSWORD")]
    assert len(passwords) == 3
    for name in passwords:
        assert len(first[name]) >= 43
        assert first[name] != second[name]
    assert len({first[name] for name in passwords}) == 3
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_a_second_call_changes_nothing(tmp_path: Path) -> None:
    assert generate(tmp_path / "a") == generate(tmp_path / "a")


def test_what_a_person_has_set_stays_and_the_rest_is_added(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("MLFORGE_AIRFLOW_PORT=9090", encoding="ascii")
    path.chmod(0o644)
    values = generate(path)
    assert values["MLFORGE_AIRFLOW_PORT"] == "9090"
    assert values["MLFORGE_MLFLOW_PORT"] == "5000"
    assert path.stat().st_mode & 0o777 == 0o600


def test_passwords_are_not_printed(tmp_path: Path) -> None:
    done = subprocess.run(["sh", str(SCRIPT), str(tmp_path / "a")], check=True, capture_output=True, text=True)
    values = [line.split("=", 1)[1] for line in (tmp_path / "a").read_text(encoding="ascii").splitlines()]
    assert not any(value in done.stdout + done.stderr for value in values if len(value) > 20)
