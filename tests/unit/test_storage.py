from pathlib import Path

import pytest

from mlforge import storage
from mlforge.errors import TerminalError
from mlforge.settings import Settings


def test_the_same_content_has_one_place_and_is_written_once(installation: Settings) -> None:
    first = storage.put_bytes("things", b"content", ".txt")
    path = Path(first[0].removeprefix("file://"))
    before = path.stat().st_mtime_ns
    assert storage.put_bytes("things", b"content", ".txt") == first
    assert path.stat().st_mtime_ns == before
    assert storage.read_bytes(first[0], content_hash=first[1]) == b"content"
    assert [file.name for file in path.parent.iterdir()] == [f"{first[1]}.txt"]


def test_a_file_that_was_cut_short_is_written_again(installation: Settings) -> None:
    uri, digest = storage.put_bytes("things", b"whole", ".txt")
    Path(uri.removeprefix("file://")).write_bytes(b"wh")
    storage.put_bytes("things", b"whole", ".txt")
    assert storage.read_bytes(uri, content_hash=digest) == b"whole"


def test_a_file_that_was_changed_or_removed_is_an_error(installation: Settings) -> None:
    uri, digest = storage.put_bytes("things", b"original", ".txt")
    path = Path(uri.removeprefix("file://"))
    path.write_bytes(b"tampered")
    with pytest.raises(TerminalError, match="its hash differs"):
        storage.read_bytes(uri, content_hash=digest)
    path.unlink()
    with pytest.raises(TerminalError, match="is gone"):
        storage.read_bytes(uri)
