"""Feast's local compute engine, except that materialization serialises columns of Arrow by itself.

It follows the same steps: the newest row per entity from the offline store, then a write to the online store.
"""

from __future__ import annotations

from typing import Any

from feast.infra.common.materialization_job import MaterializationJobStatus, MaterializationTask
from feast.infra.compute_engines.local.compute import LocalComputeEngine, LocalComputeEngineConfig
from feast.infra.compute_engines.local.job import LocalMaterializationJob
from feast.infra.registry.base_registry import BaseRegistry

from mlforge.features.stores.rows import EncodedRows, encode_table


class ArrowComputeEngineConfig(LocalComputeEngineConfig):  # type: ignore[misc]
    """Feast's own settings of the local engine."""

    type: str = "mlforge.features.stores.engine.ArrowComputeEngine"


class ArrowComputeEngine(LocalComputeEngine):  # type: ignore[misc]
    """Feast's local engine with a faster way from the offline to the online store."""

    def _materialize_one(
        self, registry: BaseRegistry, task: MaterializationTask, **kwargs: Any
    ) -> LocalMaterializationJob:
        rows = self._encoded(task)
        if rows is None:
            return super()._materialize_one(registry, task, **kwargs)
        status, error = MaterializationJobStatus.SUCCEEDED, None
        try:
            if rows.keys:
                self.online_store.write_rows(self.repo_config, task.feature_view, rows)
        except Exception as failure:
            status, error = MaterializationJobStatus.ERROR, failure
        return LocalMaterializationJob(job_id=task.feature_view.name, status=status, error=error)

    def _encoded(self, task: MaterializationTask) -> EncodedRows | None:
        """Return the rows that are written; None where Feast's own engine has to do it."""
        view = task.feature_view
        if not task.only_latest or not view.online or view.offline or not hasattr(self.online_store, "write_rows"):
            return None
        source = view.batch_source
        job = self.offline_store.pull_latest_from_table_or_query(
            config=self.repo_config,
            data_source=source,
            join_key_columns=list(view.join_keys),
            feature_name_columns=[feature.name for feature in view.features],
            timestamp_field=source.timestamp_field,
            created_timestamp_column=source.created_timestamp_column,
            start_date=task.start_time,
            end_date=task.end_time,
        )
        return encode_table(view, job.to_arrow())
