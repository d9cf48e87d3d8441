"""Writing a scaffold below the project's root: all files or none, and nothing that is there is overwritten unasked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from mlforge.errors import SpecError


def existing_files(root: Path, texts: Mapping[PurePosixPath, str]) -> list[PurePosixPath]:
    """Return the paths at which there is something already."""
    return [path for path in texts if (root / path).exists()]


def write_files(root: Path, texts: Mapping[PurePosixPath, str], *, force: bool = False) -> None:
    """Write files by their path below the root.

    Args:
        root: The checkout.
        texts: Path → content.
        force: Whether files that are there are overwritten.

    Raises:
        SpecError: A file is there, and force was not asked for; or the disk refuses.
    """
    present = existing_files(root, texts)
    if present and not force:
        raise SpecError(
            f"{len(present)} of {len(texts)} files are there already and are not overwritten",
            where=str(root),
            evidence=present,
            hint="choose another name, or overwrite them by --force",
        )
    try:
        for path, text in texts.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SpecError(
            f"cannot be written: {error.strerror}", where=str(error.filename), hint="check the folder"
        ) from error
