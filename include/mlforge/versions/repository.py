"""The data repository: a git repository of its own, with DVC for the files.

Each version is a commit and a tag. Git goes through dulwich, which DVC brings along: no git program is needed, and
nobody's git configuration matters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from mlforge.errors import DataVersionError, SettingsError
from mlforge.settings import get_settings
from mlforge.versions.metadata import Version, VersionFile, read_yaml, write_yaml
from mlforge.versions.names import Series, VersionName, parse_name
from mlforge.versions.remote import dvc_calls
from mlforge.versions.worktree import has_remote, initialise, keep_credentials_private, repository_root

if TYPE_CHECKING:
    from dulwich.repo import Repo as Git
    from dvc.repo import Repo

DATA = "data"
_DESCRIPTION = "version.yaml"
_AUTHOR = b"mlforge <mlforge@localhost>"
_TAGS = b"refs/tags/"


class DataRepository:
    """The data repository of this installation.

    Attributes:
        root: Its work tree.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def open(cls, *, create: bool = False) -> DataRepository:
        """Return the repository that the settings name.

        Args:
            create: Whether to initialise it where there is none.

        Raises:
            SettingsError: `MLFORGE_DATA_REPOSITORY` names no git clone.
            DataVersionError: There is none yet, and none is to be made.
        """
        settings = get_settings()
        root = repository_root(settings)
        if settings.data_repository is not None and not (root / ".git").exists():
            raise SettingsError(
                f"MLFORGE_DATA_REPOSITORY={root} is no git clone", hint="clone the data repository there"
            )
        ready = (root / ".git" / "HEAD").exists() and has_remote(root)
        if not ready and not create:
            raise DataVersionError(
                f"there is no data repository at {root}", hint="make a version by `mlforge data version create`"
            )
        repository = cls(root)
        if not ready:
            initialise(root, settings)
        keep_credentials_private(root)
        return repository

    def folder(self, series: Series) -> Path:
        """Return the folder of a series in the work tree."""
        return self.root / series.folder

    def names(self) -> list[VersionName]:
        """Return every version that has a tag."""
        with self._git() as git:
            tags = [key.decode() for key in git.refs.keys(base=_TAGS)]
        found = []
        for tag in tags:
            if tag.count("/") == 2:
                series, version = parse_name(tag)
                found.append(VersionName(series, version or ""))
        return sorted(found)

    def resolve(self, text: str) -> Version:
        """Return the version that a person names; without its last part, the newest of its series.

        Raises:
            DataVersionError: There is none; the error names the nearest.
        """
        import difflib

        series, version = parse_name(text)
        names = self.names()
        if version is not None:
            name = VersionName(series, version)
            if name in names:
                return self.read(name)
        else:
            versions = [self.read(name) for name in names if name.series == series]
            if versions:
                return max(versions, key=lambda found: found.number)
        texts = [str(name) for name in names]
        near = difflib.get_close_matches(text, texts, n=1, cutoff=0.5)
        raise DataVersionError(
            f"there is no version {text}",
            where=str(self.root),
            hint=f"did you mean {near[0]}?" if near else "see `mlforge data version list USE_CASE`",
        )

    def read(self, name: VersionName) -> Version:
        """Return what a version says of itself."""
        with self._git() as git:
            text = _blob(git, _TAGS + str(name).encode(), f"{name.series.folder}/{_DESCRIPTION}")
        return read_yaml(text, str(name))

    def head(self, series: Series) -> Version | None:
        """Return the newest committed version of a series, tagged or not."""
        with self._git() as git:
            try:
                text = _blob(git, b"HEAD", f"{series.folder}/{_DESCRIPTION}")
            except KeyError:
                return None
        return read_yaml(text, f"{series} at HEAD")

    def commit_of(self, name: VersionName) -> str:
        """Return the commit of a version, hexadecimal."""
        with self._git() as git:
            return str(_commit(git, _TAGS + str(name).encode()).id.decode())

    def record_files(self, series: Series) -> None:
        """Let DVC take the files of a series' data folder and send them to the remote.

        Raises:
            ServiceUnavailableError: The remote does not take them.
        """
        with self._dvc(f"sending {series}") as repo:
            repo.add([str(self.folder(series) / DATA)])
            repo.push(targets=[str(self.folder(series) / f"{DATA}.dvc")])

    def commit(self, version: Version) -> str:
        """Commit a version whose files were recorded, tag it, and return the commit, hexadecimal."""
        folder = self.folder(version.name.series)
        (folder / _DESCRIPTION).write_text(write_yaml(version), encoding="utf-8")
        message = f"{version.name}\n\n{version.note or 'no note'}\n\nMade by {version.who}.\n".encode()
        with self._git() as git:
            tree = git.get_worktree()
            own = [folder / _DESCRIPTION, folder / f"{DATA}.dvc", folder / ".gitignore"]
            common = [self.root / ".dvc" / "config", self.root / ".dvc" / ".gitignore", self.root / ".dvcignore"]
            tree.stage([str(path.relative_to(self.root)) for path in [*own, *common] if path.exists()])
            tree.commit(message=message, author=_AUTHOR, committer=_AUTHOR, sign=False, no_verify=True)
        return self.tag_head(version.name)

    def tag_head(self, name: VersionName) -> str:
        """Tag the newest commit as a version and return the commit, hexadecimal."""
        from dulwich import porcelain

        with self._git() as git:
            commit = _commit(git, b"HEAD")
            text = str(name).encode()
            porcelain.tag_create(
                git, text, author=_AUTHOR, message=text, annotated=True, objectish=commit.id, sign=False
            )
            return str(commit.id.decode())

    def untagged(self) -> Version | None:
        """Return the version that the newest commit made and that has no tag: a process ended between the two."""
        with self._git() as git:
            try:
                subject = _commit(git, b"HEAD").message.decode().splitlines()[0]
            except (KeyError, IndexError):
                return None
            if not all(subject.split("/")) or subject.count("/") != 2 or _TAGS + subject.encode() in git.refs:
                return None
        series, version = parse_name(subject)
        head = self.head(series)
        return head if head is not None and head.version == version else None

    def fetch(self, version: Version) -> None:
        """Bring a version's files from the remote to the local cache, as far as they are not there.

        Raises:
            ServiceUnavailableError: The remote does not give them.
        """
        with self._dvc(f"fetching {version.name}", version.name) as repo:
            repo.fetch(targets=[_pointer(version)])

    def forget(self, version: Version, files: list[str]) -> None:
        """Drop files of a version from the local cache: what lies there is not what was stored."""
        addresses = {file.name: file.md5 for file in version.files}
        with self._dvc("clearing the cache") as repo:
            cache = repo.cache.local
            for name in files:
                path = Path(cache.oid_to_path(addresses[name]))
                path.unlink(missing_ok=True)

    def copy_files(self, version: Version, target: Path) -> None:
        """Copy a version's files from the cache or the remote into a folder that does not exist yet."""
        with self._dvc(f"restoring {version.name}", version.name) as repo:
            repo.dvcfs.get(f"/{version.name.series.folder}/{DATA}", str(target), recursive=True)

    @contextmanager
    def reading(self, version: Version) -> Iterator[Callable[[VersionFile], BinaryIO]]:
        """Give a function that opens a file of a version: in the cache, or at the remote if it is not there."""
        folder = f"/{version.name.series.folder}/{DATA}"
        with self._dvc(f"reading {version.name}", version.name) as repo:
            cache, files = repo.cache.local, repo.dvcfs

            def open_file(file: VersionFile) -> BinaryIO:
                # Straight by its address: DVC's file system takes some ten times as long for each of many small files.
                cached = Path(cache.oid_to_path(file.md5))
                opened: BinaryIO = cached.open("rb") if cached.exists() else files.open(f"{folder}/{file.name}", "rb")
                return opened

            yield open_file

    def changed_files(self, old: Version, new: Version) -> dict[str, list[str]]:
        """Return DVC's own comparison of two versions' files: names that were added, deleted, modified, renamed."""
        prefix = f"{new.name.series.folder}/{DATA}/"
        with self._dvc("comparing") as repo:
            found = repo.diff(str(old.name), str(new.name))
        kinds = ("added", "deleted", "modified", "renamed")
        paths = {kind: [_path(entry) for entry in found.get(kind, [])] for kind in kinds}
        return {
            kind: sorted(
                path.removeprefix(prefix) for path in paths[kind] if path.startswith(prefix) and path != prefix
            )
            for kind in kinds
        }

    @contextmanager
    def _dvc(self, what: str, name: VersionName | None = None) -> Iterator[Repo]:
        with dvc_calls(self.root, what):
            from dvc.repo import Repo

            repo = Repo(str(self.root), rev=None if name is None else str(name))
            try:
                yield repo
            finally:
                repo.close()

    @contextmanager
    def _git(self) -> Iterator[Git]:
        from dulwich.repo import Repo

        git = Repo(str(self.root))
        try:
            yield git
        finally:
            git.close()


def _pointer(version: Version) -> str:
    return f"/{version.name.series.folder}/{DATA}.dvc"


def _path(entry: dict[str, Any]) -> str:
    path = entry["path"]
    return str(path["new"] if isinstance(path, dict) else path)


def _commit(git: Git, name: bytes) -> Any:
    """Return the commit that a ref names, through an annotated tag."""
    found = git[git.refs[name]]
    while found.type_name == b"tag":
        found = git[found.object[1]]
    return found


def _blob(git: Git, name: bytes, path: str) -> str:
    from dulwich.object_store import tree_lookup_path

    _, sha = tree_lookup_path(git.__getitem__, _commit(git, name).tree, path.encode())
    return str(git[sha].data.decode())
