"""The chains of a use case: each function here builds one DAG; assets with a partition key tie them together."""

from mlforge_airflow.chains.data import data_chain
from mlforge_airflow.chains.deadline import deadline_chain
from mlforge_airflow.chains.monitoring import monitoring_chain
from mlforge_airflow.chains.refresh import refresh_chain
from mlforge_airflow.chains.release import release_chain
from mlforge_airflow.chains.training import training_chain
from mlforge_airflow.chains.walk_forward import walk_forward_chain

__all__ = [
    "data_chain",
    "deadline_chain",
    "monitoring_chain",
    "refresh_chain",
    "release_chain",
    "training_chain",
    "walk_forward_chain",
]
