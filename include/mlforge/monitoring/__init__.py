"""Monitoring: what became of the predictions, whether the data drift, and who is told."""

from mlforge.monitoring.alerts import raise_alerts
from mlforge.monitoring.drift import measure_drift
from mlforge.monitoring.outcomes import join_outcomes
from mlforge.monitoring.performance import measure_performance
from mlforge.monitoring.retraining import RetrainingCause, retraining_cause

__all__ = [
    "RetrainingCause",
    "join_outcomes",
    "measure_drift",
    "measure_performance",
    "raise_alerts",
    "retraining_cause",
]
