"""A use case's registered model in MLflow: its versions, its alias, their tags and files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlforge.errors import TerminalError
from mlforge.models import RESTORES_TAG, read_folder
from mlforge.refs import Release
from mlforge.spec import UseCase
from mlforge.tracking import CHAMPION_ALIAS, configure_tracking, tracking_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ABSENT = {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"}


@dataclass(frozen=True)
class RegisteredVersion:
    """A model version as MLflow has it.

    Attributes:
        number: Its number in MLflow.
        source: Address of its model, `models:/m-…`.
        run_id: MLflow run that made it.
        tags: Its tags.
        created: Milliseconds since 1970, UTC.
    """

    number: int
    source: str
    run_id: str
    tags: Mapping[str, str]
    created: int

    @property
    def uri(self) -> str:
        """Address of the model that it stands for: of another one where its own was gone and was restored."""
        return self.tags.get(RESTORES_TAG, self.source)


class ModelRegistry:
    """The registered model of a use case. What MLflow raises becomes an error of ours.

    Args:
        use_case: Its name is that of the registered model.
    """

    def __init__(self, use_case: UseCase) -> None:
        self._use_case = use_case
        self._name = use_case.name

    @contextmanager
    def _client(self, what: str) -> Iterator[MlflowClient]:
        configure_tracking()
        from mlflow import MlflowClient

        with tracking_errors(what, where=self._name):
            yield MlflowClient()

    def versions(self) -> list[RegisteredVersion]:
        """Return every version, lowest number first; none when the registered model is gone."""
        found: list[Any] = []
        with self._client("the model versions cannot be listed") as client:
            token: str | None = None
            while True:
                page = client.search_model_versions(f"name = '{self._name}'", max_results=500, page_token=token)
                found.extend(page)
                token = page.token
                if not token:
                    break
        versions = [
            RegisteredVersion(int(v.version), v.source or "", v.run_id or "", dict(v.tags), int(v.creation_timestamp))
            for v in found
        ]
        return sorted(versions, key=lambda version: version.number)

    def alias(self) -> int | None:
        """Return the version that the alias names, None if it names none."""
        from mlflow.exceptions import MlflowException

        with self._client("the alias cannot be read") as client:
            try:
                present = client.get_registered_model(self._name).aliases.get(CHAMPION_ALIAS)
            except MlflowException as error:
                if error.error_code not in _ABSENT:
                    raise
                return None
        return None if present is None else int(present)

    def set_alias(self, number: int | None) -> None:
        """Let the alias name a version, or none."""
        with self._client("the alias cannot be set") as client:
            if number is None:
                client.delete_registered_model_alias(self._name, CHAMPION_ALIAS)
            else:
                client.set_registered_model_alias(self._name, CHAMPION_ALIAS, str(number))

    def set_tags(self, number: int, tags: Mapping[str, str | None]) -> None:
        """Set tags of a version, or take those away that are none; its other tags stay."""
        with self._client("the tags cannot be set") as client:
            for key, value in tags.items():
                if value is None:
                    client.delete_model_version_tag(self._name, str(number), key)
                else:
                    client.set_model_version_tag(self._name, str(number), key, value)

    def register(self, release: Release, run_id: str, source: str) -> RegisteredVersion:
        """Return a new version that stands for a released model whose own version is gone.

        Args:
            release: What was released.
            run_id: MLflow run that trained it.
            source: Address of the model's files.
        """
        from mlflow.exceptions import MlflowException

        tags = {RESTORES_TAG: release.uri}
        with self._client("the model version cannot be registered again") as client:
            try:
                client.create_registered_model(self._name, description=self._use_case.title)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            model_id = source.removeprefix("models:/")
            made = client.create_model_version(
                self._name, source, run_id=run_id, model_id=model_id, tags=tags, await_creation_for=0
            )
        return RegisteredVersion(int(made.version), source, run_id, tags, int(made.creation_timestamp))

    def has_model(self, source: str) -> bool:
        """Return whether MLflow still knows the logged model at an address, with its files or without."""
        from mlflow.exceptions import MlflowException

        with self._client("the model cannot be looked up") as client:
            try:
                client.get_logged_model(source.removeprefix("models:/"))
            except MlflowException as error:
                if error.error_code not in _ABSENT:
                    raise
                return False
        return True

    def content_hash(self, source: str) -> str:
        """Return the hash of the model's content as MLflow's store has it now, not as some cache has it.

        Raises:
            TerminalError: Its files are gone or damaged.
        """
        import mlflow

        with tempfile.TemporaryDirectory(prefix="mlforge-model-") as folder:
            with self._client(f"the model {source} cannot be downloaded"):
                mlflow.artifacts.download_artifacts(artifact_uri=source, dst_path=folder)
            return read_folder(self._use_case, Path(folder)).content_hash

    def upload(self, source: str, folder: Path) -> None:
        """Put a model's files where MLflow keeps them for a logged model."""
        with self._client(f"the files of {source} cannot be restored") as client:
            client.log_model_artifacts(source.removeprefix("models:/"), str(folder))

    def log_again(self, release: Release, run_id: str, folder: Path) -> str:
        """Return the address of a new logged model with the files of one that is gone."""
        from mlflow.entities import LoggedModelStatus

        with self._client("the model cannot be logged again") as client:
            experiment = client.get_experiment_by_name(self._name)
            if experiment is None:
                raise TerminalError("the experiment is gone", where=self._name, hint="restore it in MLflow's page")
            tags = {RESTORES_TAG: release.uri}
            made = client.create_logged_model(
                experiment.experiment_id, name=self._name, source_run_id=run_id or None, tags=tags
            )
            client.log_model_artifacts(made.model_id, str(folder))
            client.finalize_logged_model(made.model_id, LoggedModelStatus.READY)
        return f"models:/{made.model_id}"


def version_of(versions: Sequence[RegisteredVersion], release: Release) -> RegisteredVersion | None:
    """Return the version that stands for a release: one made to restore it, else its own; None if it is gone.

    A number alone does not tell: MLflow counts from 1 again when a registered model was deleted.
    """
    standing = [version for version in versions if version.uri == release.uri]
    restored = [version for version in standing if RESTORES_TAG in version.tags]
    own = [version for version in standing if version.number == release.model_version]
    for found in (restored[-1:], own, standing[-1:]):
        if found:
            return found[0]
    return None
