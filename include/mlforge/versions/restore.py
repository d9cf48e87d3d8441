"""Restoring a version: byte for byte what was stored, from the cache or the remote alone."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from mlforge.errors import DataVersionError
from mlforge.versions.export import hash_file
from mlforge.versions.metadata import Version, write_yaml
from mlforge.versions.repository import DataRepository

DESCRIPTION = "version.yaml"


def restore_version(version: Version, target: Path, *, repository: DataRepository | None = None) -> Path:
    """Write a version's files and its description into a folder, each checked against its hash, and return the folder.

    The folder appears whole or not at all. One that holds the version already is left alone.

    Args:
        version: As `DataRepository.resolve` gives it.
        target: A folder that is empty or does not exist.
        repository: Of the settings without one.

    Raises:
        DataVersionError: The folder holds something else, or the remote gives other bytes than were stored.
        ServiceUnavailableError: The remote does not answer.
    """
    repository = repository or DataRepository.open()
    if target.exists() and any(target.iterdir()):
        return _require_same(version, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        _fill(version, aside, repository)
        (aside / DESCRIPTION).write_text(write_yaml(version), encoding="utf-8")
        if target.exists():
            target.rmdir()
        aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def _fill(version: Version, folder: Path, repository: DataRepository) -> None:
    repository.fetch(version)
    repository.copy_files(version, folder)
    wrong = differing_files(version, folder)
    if wrong:
        # What lies in the cache was damaged: once more, from the remote.
        shutil.rmtree(folder)
        repository.forget(version, wrong)
        repository.fetch(version)
        repository.copy_files(version, folder)
        wrong = differing_files(version, folder)
    if wrong:
        raise DataVersionError(
            f"{len(wrong)} of {len(version.files)} files at the remote are not what was stored",
            where=str(version.name),
            evidence=wrong,
            hint="repair the remote from its backup",
        )
    for path in folder.iterdir():
        path.chmod(0o644)


def differing_files(version: Version, folder: Path) -> list[str]:
    """Return the names of the files that a folder lacks or has with other content."""
    return [
        file.name
        for file in version.files
        if not (folder / file.name).is_file() or hash_file(folder / file.name) != file.sha256
    ]


def _require_same(version: Version, target: Path) -> Path:
    expected = {file.name for file in version.files} | {DESCRIPTION}
    others = sorted({path.name for path in target.iterdir()} - expected)
    wrong = [*differing_files(version, target), *others]
    if wrong:
        raise DataVersionError(
            f"{target} holds something else", evidence=wrong, hint="name an empty folder, or one that does not exist"
        )
    return target
