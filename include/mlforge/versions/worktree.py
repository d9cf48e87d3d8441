"""The work tree of the data repository: where it lies, and how it is made and kept fit for use."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from mlforge.errors import RetryableError, SettingsError
from mlforge.settings import Settings
from mlforge.versions.remote import dvc_calls

_REMOTE = "storage"
_STALE_SECONDS = 60  # a git command that a person runs holds a lock for less


def repository_root(settings: Settings) -> Path:
    """Return where the data repository lies."""
    given = settings.data_repository
    return (given if given.is_absolute() else settings.root / given) if given else settings.home / "data-repository"


def has_remote(root: Path) -> bool:
    """Return whether a data repository was made whole: its remote is the last thing that is written."""
    config = root / ".dvc" / "config"
    return config.exists() and "remote = " in config.read_text(encoding="utf-8")


def initialise(root: Path, settings: Settings) -> None:
    """Make the git repository, DVC's part and its remote; a half-made one is completed."""
    from dulwich.repo import Repo as Git

    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (root / ".git" / "HEAD").exists():
        Git.init(str(root), default_branch=b"main").close()
    with dvc_calls(root, "initialising"):
        from dvc.repo import Repo

        known = (root / ".dvc" / "config").exists()
        repo = Repo(str(root)) if known else Repo.init(str(root), force=True)
        with repo.config.edit() as config:
            core = {"remote": _REMOTE, "autostage": True, "analytics": False, "check_update": False}
            config["core"].update(core)
            # A hard link lets the work tree and the cache share the bytes.
            config["cache"].update({"type": "hardlink,copy"})
            config["remote"][_REMOTE] = _remote(settings)
        repo.close()


def keep_credentials_private(root: Path) -> None:
    """Let nobody else read what a person wrote into DVC's local settings."""
    local = root / ".dvc" / "config.local"
    if local.exists():
        local.chmod(0o600)


def remove_stale_locks(root: Path) -> None:
    """Remove the locks that a killed process left in git. Call it only while nobody else makes a version.

    Raises:
        RetryableError: A lock is so new that someone may be using git here.
    """
    for lock in (root / ".git").rglob("*.lock"):
        age = time.time() - lock.stat().st_mtime
        if age < _STALE_SECONDS:
            raise RetryableError(
                f"someone uses git in {root}: {lock.name} is {age:.0f} s old",
                hint=f"run again in {_STALE_SECONDS} s; an older lock is taken for forgotten",
            )
        lock.unlink()


def _remote(settings: Settings) -> dict[str, Any]:
    """Return the remote below the storage; credentials of S3 come from the environment or `config.local`."""
    url = f"{settings.storage}/data-versions"
    if url.startswith("file://"):
        return {"url": url.removeprefix("file://")}
    if not url.startswith("s3://"):
        raise SettingsError(f"no data remote can be made at {url}", hint="store files on S3 or a local directory")
    return {"url": url, "connect_timeout": 10, "read_timeout": 60}
