from __future__ import annotations

from pathlib import Path

import pytest

from mlforge.models.copies import bento_model_folder, cache_folder, forget_cached, keep_in_cache
from mlforge.serving.bento import bento_path
from mlforge.serving.manifest import MODEL_FOLDER
from mlforge.settings import Settings

URI = "models:/m-" + "a" * 32


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLFORGE_HOME", str(tmp_path))
    monkeypatch.setattr("mlforge.models.copies.get_settings", Settings)
    return tmp_path


def test_a_bentos_model_lies_where_packaging_puts_it(home: Path) -> None:
    assert bento_model_folder("flights:v1-r2").parts[-6:] == (
        *bento_path("flights:v1-r2").parts[-4:],
        "src",
        MODEL_FOLDER,
    )


def test_a_copy_takes_the_place_of_what_the_cache_had(home: Path) -> None:
    old, new = cache_folder(URI), home / "new"
    for folder, text in ((old, "old"), (new, "new")):
        folder.mkdir(parents=True)
        (folder / "MLmodel").write_text(text)
    keep_in_cache(URI, new)
    assert (old / "MLmodel").read_text() == "new"
    assert [path.name for path in old.parent.iterdir()] == [old.name]
    assert forget_cached(URI)
    assert not forget_cached(URI)
    assert not old.exists()
