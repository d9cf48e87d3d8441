"""MLflow follows the release ledger: the alias `champion`, the tags of the versions, and the champion's files.

The ledger decides, and MLflow shows it. Whoever changes MLflow by hand changes what is shown, not who is champion: it
is put right here, and a row in `ledger.repairs` says what was found.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mlforge.db import connect, ledger
from mlforge.errors import MLForgeError, PromotionError
from mlforge.models import RESTORES_TAG
from mlforge.registry.journal import lock_releases
from mlforge.registry.model_registry import ModelRegistry, RegisteredVersion, version_of
from mlforge.registry.projection import STATE_TAG, Projection, judged_versions
from mlforge.registry.repairs import Repair, record_repair
from mlforge.registry.restore import restore_files, restore_version
from mlforge.spec import UseCase
from mlforge.tracking import CHAMPION_ALIAS

_log = logging.getLogger(__name__)


def reconcile_releases(use_case: UseCase, *, who: str = "mlforge", run_id: str | None = None) -> tuple[Repair, ...]:
    """Return what had to be repaired in MLflow so that it shows what the ledger says.

    The champion's files are fetched from MLflow's store and compared with the hash in the ledger; what is gone comes
    back from a copy on this machine. The lock on the releases is held meanwhile: an older champion can't be written
    over a newer one.

    Args:
        use_case: Whose champion.
        who: Who has it repaired, for the ledger.
        run_id: Run of the orchestrator.

    Raises:
        PromotionError: The champion's model is gone and cannot be restored; all else has been repaired.
        ServiceUnavailableError: MLflow or PostgreSQL does not answer.
    """
    return _reconcile(use_case, who, run_id, just_released=False)


def follow_release(use_case: UseCase, *, who: str, run_id: str | None = None, just_released: bool = True) -> None:
    """Let MLflow follow a promotion or a rollback.

    The ledger has decided, so a failure here is noted, and repaired later.

    Args:
        use_case: Whose champion.
        who: Who promoted or rolled back.
        run_id: Run of the orchestrator.
        just_released: Whether the newest release is a new one: that MLflow shows what was before it is no repair then.
    """
    try:
        _reconcile(use_case, who, run_id, just_released=just_released)
    except MLForgeError as error:
        _log.warning("%s; `mlforge models reconcile` lets MLflow follow", error)


def _reconcile(use_case: UseCase, who: str, run_id: str | None, *, just_released: bool) -> tuple[Repair, ...]:
    with connect() as connection:
        lock_releases(connection, use_case.name)
        records = ledger.journal(connection, use_case.name)
        judged = judged_versions(connection, use_case.name)
        follower = _Follower(
            use_case,
            Projection.of(records, judged),
            Projection.of(records[:-1], judged) if just_released else None,
        )
        lost = follower.follow(records[-1] if records else None)
        champion = follower.wanted.champion
        for repair in follower.repairs:
            record_repair(
                connection,
                repair,
                use_case=use_case.name,
                release_id=champion.release_id if champion else None,
                who=who,
                run_id=run_id,
            )
    if lost is not None:
        raise lost
    return tuple(follower.repairs)


@dataclass
class _Follower:
    """One walk through MLflow.

    Attributes:
        wanted: What it should show.
        before: What it showed before the release that was made just now; none if there was no such release.
    """

    use_case: UseCase
    wanted: Projection
    before: Projection | None
    repairs: list[Repair] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.registry = ModelRegistry(self.use_case)
        self.versions = self.registry.versions()

    def follow(self, champion: ledger.ReleaseRecord | None) -> PromotionError | None:
        """Put everything right; return why the champion's files could not be."""
        lost = None
        if champion is None:
            self._alias(None)
        else:
            source, lost = self._files(champion)
            # Without files and without a version there is nothing that the alias could name.
            if lost is None or version_of(self.versions, champion.release) is not None:
                self._alias(self._version(champion, source))
        for each in self.versions:
            self._tags(each)
        return lost

    def _version(self, champion: ledger.ReleaseRecord, source: str) -> RegisteredVersion:
        version, repair = restore_version(self.registry, champion, self.versions, source)
        if repair is not None:
            self.repairs.append(repair)
            tags = self.wanted.tags(version.uri, version.number)
            self.registry.set_tags(version.number, tags)
            version = replace(version, tags={**version.tags, **{key: value for key, value in tags.items() if value}})
            self.versions.append(version)
        return version

    def _files(self, champion: ledger.ReleaseRecord) -> tuple[str, PromotionError | None]:
        present = version_of(self.versions, champion.release)
        source = present.source if present else champion.release.uri
        if self.before is not None:
            # Loaded a moment ago: its files are there.
            return source, None
        try:
            source, repair = restore_files(self.use_case, self.registry, champion, self.versions)
        except PromotionError as error:
            return source, error
        if repair is not None:
            self.repairs.append(repair)
        return source, None

    def _alias(self, version: RegisteredVersion | None) -> None:
        present, wanted = self.registry.alias(), version.number if version else None
        if present == wanted:
            return
        self.registry.set_alias(wanted)
        if self.before is not None and present == self._number_before():
            _log.info("%s: the alias %s names version %s now", self.use_case.name, CHAMPION_ALIAS, wanted)
            return
        found, now = (f"version {number}" if number is not None else "no version" for number in (present, wanted))
        champion = self.wanted.champion
        says = f"version {champion.model_version}" if champion else "that there is no champion"
        if champion and wanted != champion.model_version:
            says += f", for which {now} stands"
        message = f"the alias {CHAMPION_ALIAS} named {found}, the ledger says {says}: repaired"
        self.repairs.append(Repair("alias", found, now, message))

    def _number_before(self) -> int | None:
        champion = self.before.champion if self.before else None
        version = version_of(self.versions, champion) if champion else None
        return version.number if version else None

    def _tags(self, version: RegisteredVersion) -> None:
        wanted = self.wanted.tags(version.uri, version.number)
        if self._is_replaced(version):
            wanted = {STATE_TAG: "replaced"}
        changed = {key: value for key, value in wanted.items() if version.tags.get(key) != value}
        if not changed:
            return
        self.registry.set_tags(version.number, changed)
        if self._is_expected(version, changed):
            return
        found = _in_words({key: version.tags.get(key) for key in changed})
        now = _in_words(changed)
        message = f"version {version.number} had {found}, the ledger says {now}: repaired"
        self.repairs.append(Repair("tags", found, now, message))

    def _is_expected(self, version: RegisteredVersion, changed: Mapping[str, str | None]) -> bool:
        """Return whether tags differ because the ledger has gone on, not because somebody changed them."""
        if self._is_replaced(version):
            return True
        if version.uri not in self.wanted.released:
            # The gate's verdict is written here first.
            return set(changed) == {STATE_TAG} and version.tags.get(STATE_TAG) in {None, "passed", "refused"}
        if self.before is None:
            return False
        before = self.before.tags(version.uri, version.number)
        # The verdict on a version that is promoted right after the gate may never have been written.
        may_lack = version.uri not in self.before.released
        present = {key: version.tags.get(key) for key in changed}
        return all(value == before[key] or (value is None and may_lack) for key, value in present.items())

    def _is_replaced(self, version: RegisteredVersion) -> bool:
        """Return whether another version stands for the same model, because this one's files were lost."""
        same = [each for each in self.versions if each.uri == version.uri and RESTORES_TAG in each.tags]
        return bool(same) and same[-1].number != version.number


def _in_words(tags: Mapping[str, str | None]) -> str:
    return ", ".join(f"no {key}" if value is None else f"{key}={value}" for key, value in tags.items())
