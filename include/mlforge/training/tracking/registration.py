"""A logged model becomes a version of the use case's registered model, once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlforge.spec import UseCase

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def register_model(
    client: MlflowClient, use_case: UseCase, run: Run, model_id: str, tags: Mapping[str, str], *, resumed: bool
) -> int:
    """Return the number of the registered version of a logged model.

    Args:
        client: Of MLflow.
        use_case: Whose model.
        run: That made it.
        model_id: The logged model.
        tags: Of the version.
        resumed: Whether an earlier try of the run may have registered it.
    """
    from mlflow.exceptions import MlflowException

    source = f"models:/{model_id}"
    if resumed:
        query = f"name = '{use_case.name}' and run_id = '{run.info.run_id}'"
        for made in client.search_model_versions(query):
            if made.source == source:
                return int(made.version)
    for _ in range(2):
        try:
            made = client.create_model_version(
                use_case.name, source, run_id=run.info.run_id, model_id=model_id, tags=dict(tags), await_creation_for=0
            )
            return int(made.version)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            _create_registered_model(client, use_case)
    raise MlflowException(f"there is no registered model {use_case.name}")


def _create_registered_model(client: MlflowClient, use_case: UseCase) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(use_case.name, description=use_case.title)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
