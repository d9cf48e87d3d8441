"""The assets that chain a use case's DAGs; their events carry the partition key."""

from __future__ import annotations

from airflow.sdk import Asset


def use_case_asset(use_case: str, noun: str) -> Asset:
    """Return the asset of a use case for a noun: features, training_request, champion, deployment."""
    uri = f"mlforge://{use_case}/{noun}"
    return Asset(name=uri, uri=uri, group="mlforge")
