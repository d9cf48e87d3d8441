"""Names of dataset versions: `<use_case>/<dataset>/<version>`, also the git tag in the data repository."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlforge.errors import DataVersionError

# No dataset can have this name: a hyphen is no part of an identifier.
TRAINING_SET = "training-set"

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
_NUMBERED = re.compile(r"v\d+")
_LONGEST = 64
_FORM = "write it as USE_CASE/DATASET/VERSION, such as flight_delays/flights/v3"


@dataclass(frozen=True, order=True)
class Series:
    """All versions of one dataset, or of the training sets of a use case."""

    use_case: str
    dataset: str

    def __str__(self) -> str:
        return f"{self.use_case}/{self.dataset}"

    @property
    def folder(self) -> str:
        """Folder in the data repository."""
        return str(self)


@dataclass(frozen=True, order=True)
class VersionName:
    """One version of a series; its text is its tag."""

    series: Series
    version: str

    def __str__(self) -> str:
        return f"{self.series}/{self.version}"


def parse_name(text: str) -> tuple[Series, str | None]:
    """Return the series and the version that a person wrote; no version means the newest.

    Raises:
        DataVersionError: It is no such name.
    """
    parts = text.strip().removeprefix("refs/tags/").split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise DataVersionError(f"{text!r} names no version", hint=_FORM)
    return Series(parts[0], parts[1]), parts[2] if len(parts) == 3 else None


def choose_version(wanted: str | None, number: int) -> str:
    """Return the name of a new version: the wanted one, or its number.

    Args:
        wanted: What a person asked for, if anything.
        number: The version's place in its series, from 1.

    Raises:
        DataVersionError: The wanted name cannot be a tag, or is the number of another version.
    """
    own = f"v{number}"
    if wanted is None or wanted == own:
        return own
    fits = _VERSION.fullmatch(wanted) and not wanted.endswith(".lock") and len(wanted) <= _LONGEST
    if not fits:
        raise DataVersionError(
            f"a version cannot be named {wanted!r}",
            hint=f"use up to {_LONGEST} letters, digits, `-`, `_`, and single dots between them",
        )
    if _NUMBERED.fullmatch(wanted):
        raise DataVersionError(f"{wanted!r} is the number of another version", hint=f"the next one is {own}")
    return wanted
