"""Files are imported from where they lie, and what is wrong with them is said as the caller wants it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlforge.errors import FeatureError, SpecError
from mlforge.python_files import import_file


def test_a_file_is_imported_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text("made = object()\n")
    first, second = (import_file(path, "a_name", error=SpecError, hint="") for _ in range(2))
    assert first.__name__ == "a_name"
    assert first.made is not second.made


def test_a_missing_file_is_said_with_the_hint_of_who_asks(tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match="the file is missing") as caught:
        import_file(tmp_path / "absent.py", "absent", error=FeatureError, hint="write the views there")
    assert "write the views there" in str(caught.value)


@pytest.mark.parametrize("text", ["import no_such_module", "def (", "raise ValueError('no')"])
def test_a_file_that_cannot_be_imported_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(SpecError, match=r"broken\.py: cannot be imported"):
        import_file(path, "broken", error=SpecError, hint="")
