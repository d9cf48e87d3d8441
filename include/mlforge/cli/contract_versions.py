"""Two versions of a contract: from files, or from Git."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from mlforge.errors import SpecError

if TYPE_CHECKING:
    from mlforge.spec import Contract, UseCase


def read_versions(old: str, new: str, against: str | None) -> tuple[Contract, Contract, tuple[UseCase, str] | None]:
    """Return both versions, and the use case and dataset that the new one is of, if any.

    Args:
        old: A contract file, `REVISION:PATH`, or with `against` the name of a use case.
        new: A contract file, `REVISION:PATH`, or with `against` the name of a dataset.
        against: A Git revision.

    Raises:
        SpecError: One cannot be read.
    """
    from mlforge.spec import load_use_case

    if against is None:
        before, after = read_version(old), read_version(new)
        return before, after, _owner(after.path) or _owner(before.path)
    use_case = load_use_case(old)
    contract_file = use_case.folder / use_case.dataset(new).contract
    return read_version(f"{against}:{contract_file}"), use_case.contract(new), (use_case, new)


def read_version(place: str) -> Contract:
    """Return the contract at a path, or at `REVISION:PATH`.

    Raises:
        SpecError: It cannot be read.
    """
    from mlforge.spec.contract import load_contract, parse_contract

    if Path(place).exists() or ":" not in place:
        return load_contract(Path(place))
    revision, _, path = place.partition(":")
    return parse_contract(_at_revision(revision, Path(path)), Path(path))


def _at_revision(revision: str, path: Path) -> str:
    folder = path.resolve().parent
    while not folder.exists():
        folder = folder.parent
    if not revision or revision.startswith("-"):
        raise SpecError(f"{revision!r} is no Git revision", hint="name a branch, a tag or a commit")
    top = _git(folder, "rev-parse", "--show-toplevel").strip()
    relative = path.resolve().relative_to(Path(top).resolve()).as_posix()
    return _git(Path(top), "show", f"{revision}:{relative}")


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SpecError(f"Git cannot be asked: {error}", hint="install git, or compare two files") from error
    if done.returncode:
        raise SpecError(
            f"Git says: {' '.join(done.stderr.split())}", where=" ".join(arguments), hint="name a revision that has it"
        )
    return done.stdout


def _owner(path: Path) -> tuple[UseCase, str] | None:
    """Return the use case and the dataset that have a contract file, by where it lies."""
    from mlforge.spec import list_use_cases, load_use_case

    for name in list_use_cases():
        use_case = load_use_case(name)
        for dataset in use_case.datasets:
            if use_case.contract(dataset).path.resolve() == path.resolve():
                return use_case, dataset
    return None
