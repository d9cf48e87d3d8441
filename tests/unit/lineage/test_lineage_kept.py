"""Traced queries that are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlforge.lineage import kept
from mlforge.lineage.columns import trace_query
from mlforge.settings import Settings

TABLES = {"w.f": {"a": "text", "k": "text"}}
TEXT = "SELECT k, max(a) AS v, %(end)s AS t FROM w.f WHERE a > 'x' GROUP BY k"


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(kept, "get_settings", lambda: Settings(home=tmp_path))
    return tmp_path / "lineage" / "traced"


def test_what_is_kept_is_what_was_traced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = trace_query(TEXT, TABLES)
    assert kept.traced_query(TEXT, TABLES) == expected
    monkeypatch.setattr(kept, "trace_query", None)  # it would fail
    assert kept.traced_query(TEXT, TABLES) == expected
    assert len(list(folder.iterdir())) == 1


def test_other_tables_and_other_text_are_traced_anew(folder: Path) -> None:
    kept.traced_query("SELECT * FROM w.f", TABLES)
    assert "b" in kept.traced_query("SELECT * FROM w.f", {"w.f": {"b": "text"}}).columns
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("text", ["", "{", "{}", '{"columns": 1, "rows": [], "tables": []}', "\x00"])
def test_a_broken_file_is_traced_again(folder: Path, text: str) -> None:
    kept.traced_query(TEXT, TABLES)
    [path] = folder.iterdir()
    path.write_text(text)
    assert kept.traced_query(TEXT, TABLES) == trace_query(TEXT, TABLES)


def test_without_a_home_nothing_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kept, "get_settings", lambda: Settings(home=tmp_path / "none"))
    assert kept.traced_query(TEXT, TABLES) == trace_query(TEXT, TABLES)
    assert list(tmp_path.iterdir()) == []
