"""Bringing back what is gone from MLflow of a champion: its files, its logged model, its version."""

from __future__ import annotations

from mlforge.db.ledger import ReleaseRecord
from mlforge.errors import PromotionError, TerminalError
from mlforge.models import find_copy
from mlforge.models.copies import ModelCopy
from mlforge.registry.model_registry import ModelRegistry, RegisteredVersion, version_of
from mlforge.registry.repairs import Repair
from mlforge.spec import UseCase


def restore_files(
    use_case: UseCase, registry: ModelRegistry, champion: ReleaseRecord, versions: list[RegisteredVersion]
) -> tuple[str, Repair | None]:
    """Return the address at which the champion's model lies in MLflow, and what was repaired to have it there.

    Files that are gone or damaged are uploaded again to where they were, so that the address in the ledger stays right.
    Only when MLflow has no logged model there any more, a new one is made.

    Raises:
        PromotionError: The model is gone, and no copy on this machine holds what was released.
    """
    release = champion.release
    present = version_of(versions, release)
    source = present.source if present else release.uri
    try:
        if registry.content_hash(source) == release.content_hash:
            return source, None
        found = "files that are not what was released"
    except TerminalError as error:
        found = error.what
    copy = find_copy(use_case, release.uri)
    if copy is None:
        raise PromotionError(
            f"the champion's model (version {release.model_version}, release {release.release_id}) is gone from MLflow "
            "and there is no copy of it on this machine",
            where=use_case.name,
            evidence=[found],
            hint="`mlforge models rollback` goes back to the newest release that loads; or train and promote another",
        )
    source = _put_back(registry, champion, source, copy)
    if registry.content_hash(source) != release.content_hash:
        raise PromotionError(
            "the champion's model was restored, but MLflow gives back something else",
            where=use_case.name,
            evidence=[source],
            hint="look at MLflow's artifact store",
        )
    message = (
        f"the files of the champion's model (version {release.model_version}) were gone from MLflow or damaged: "
        f"restored from {copy.place}"
    )
    return source, Repair("artifact", found, source, message)


def _put_back(registry: ModelRegistry, champion: ReleaseRecord, source: str, copy: ModelCopy) -> str:
    if registry.has_model(source):
        registry.upload(source, copy.folder)
        return source
    return registry.log_again(champion.release, champion.mlflow_run_id, copy.folder)


def restore_version(
    registry: ModelRegistry, champion: ReleaseRecord, versions: list[RegisteredVersion], source: str
) -> tuple[RegisteredVersion, Repair | None]:
    """Return the version that stands for the champion, registered again where it is gone, and the repair.

    MLflow gives no number twice, so a version that was deleted comes back under another one; its tag
    `mlforge.restores` names the model that it stands for.

    Args:
        registry: The use case's registered model.
        champion: The champion's row in the ledger.
        versions: What MLflow has.
        source: Where the model's files lie.
    """
    present = version_of(versions, champion.release)
    if present is not None and present.source == source:
        return present, None
    made = registry.register(champion.release, champion.mlflow_run_id, source)
    number = champion.release.model_version
    gone = "was deleted from MLflow" if present is None else "names a model that is gone from MLflow"
    message = f"version {number}, the champion, {gone}: registered again as version {made.number}"
    return made, Repair("version", f"version {number} {gone}", f"version {made.number}", message)
