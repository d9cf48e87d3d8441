"""Buttons on a task's page that lead to the other tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

from mlforge.settings import get_settings

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class ModelVersionLink(BaseOperatorLink):
    """Leads to the model version that the task made, in MLflow."""

    name = "Model in MLflow"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address of the model version in the task's ref, or of MLflow when it made none."""
        from airflow.sdk.execution_time.xcom import XCom

        return model_version_url(XCom.get_value(ti_key=ti_key, key="return_value"))


def model_version_url(value: Any) -> str:
    """Return the address of the model version that a dumped ref names."""
    base = get_settings().tracking_url
    ref = value.get("candidate", value) if isinstance(value, dict) else {}
    if "model_version" not in ref:
        return base
    return f"{base}/#/models/{ref['model_name']}/versions/{ref['model_version']}"
