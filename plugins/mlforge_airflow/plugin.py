"""What MLForge adds to Airflow itself; loaded by every Airflow process, so it stays light."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from mlforge_airflow.links import ModelVersionLink


class MLForgePlugin(AirflowPlugin):
    """Registers the buttons on task pages."""

    name = "mlforge"
    operator_extra_links = [ModelVersionLink()]  # noqa: RUF012  Airflow declares it so
