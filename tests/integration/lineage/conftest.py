"""Airflow of the lineage tests: the repository's own configuration, no database of anybody."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

# Airflow reads them at its first import and writes a configuration file to its home.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="mlforge-airflow-"))
os.environ.setdefault("AIRFLOW__CORE__DAGS_FOLDER", str(ROOT / "dags"))
os.environ.setdefault("AIRFLOW__CORE__PLUGINS_FOLDER", str(ROOT / "plugins"))
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
