"""The file of events stays small, and no event is lost by that."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from openlineage.client.transport.file import FileConfig, FileTransport

from mlforge.lineage.events_file import make_room


def test_the_folder_is_made_and_a_small_file_stays(tmp_path: Path) -> None:
    file = tmp_path / "lineage" / "events.jsonl"
    make_room(file)
    assert file.parent.stat().st_mode & 0o777 == 0o700
    file.write_text("{}\n")
    make_room(file)
    assert [path.name for path in file.parent.iterdir()] == ["events.jsonl"]


def test_no_event_is_lost_while_many_write(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    transport = FileTransport(FileConfig(log_file_path=str(file), append=True))

    def tell(number: int) -> None:
        make_room(file, largest=200, kept=1000)
        transport.emit({"number": number})  # type: ignore[arg-type]  # any event that can be written

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(tell, range(300)))
    files = list(tmp_path.iterdir())
    assert len(files) > 5
    lines = [line for path in files for line in path.read_text().splitlines()]
    assert sorted(lines) == sorted(f'{{"number": {number}}}' for number in range(300))


def test_the_oldest_are_removed(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    for number in range(5):
        file.write_text(f"{number}\n")
        make_room(file, largest=1, kept=2)
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["3\n", "4\n"]


def test_a_place_that_cannot_be_written_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    make_room(tmp_path / "file" / "events.jsonl")
