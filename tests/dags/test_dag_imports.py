"""What parsing a DAG file and loading the plugin brings into a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    "adbc_driver_postgresql", "bentoml", "evidently", "feast", "great_expectations", "mlflow", "numpy", "pandas",
    "psycopg", "pyarrow", "sklearn", "xgboost",
)  # fmt: skip

_PARSE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
before = set(sys.modules)
bag = DagBag({folder!r}, bundle_path={folder!r})
assert bag.dags and not bag.import_errors, bag.import_errors
print(json.dumps(sorted(set(sys.modules) - before)))
"""
_OPERATORS = """
import json, sys
import airflow.sdk
before = set(sys.modules)
import mlforge_airflow.chains, mlforge_airflow.plugin, mlforge_airflow.operators.approval
print(json.dumps(sorted(set(sys.modules) - before)))
"""
_PLUGINS = """
import json, sys
from airflow import plugins_manager
plugins_manager.ensure_plugins_loaded()
names = [plugin["name"] for plugin in plugins_manager.get_plugin_info(["name"])]
print(json.dumps([names, plugins_manager.get_import_errors(), sorted(sys.modules)]))
"""


def run(code: str) -> list[object]:
    """Return what a program of its own prints last, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code], env=dict(os.environ), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    value: list[object] = json.loads(done.stdout.strip().splitlines()[-1])
    return value


def heavy(modules: list[object]) -> set[str]:
    return {str(module).split(".")[0] for module in modules} & set(HEAVY)


def test_parsing_imports_nothing_heavy() -> None:
    assert heavy(run(_PARSE.format(folder=str(ROOT / "dags")))) == set()


def test_operators_and_plugin_import_nothing_heavy() -> None:
    assert heavy(run(_OPERATORS)) == set()


def test_the_plugin_loads_and_no_file_shadows_a_library() -> None:
    names, errors, modules = run(_PLUGINS)
    assert errors == {}
    assert isinstance(names, list)
    assert "mlforge" in names
    stems = {path.stem for path in (ROOT / "plugins" / "mlforge_airflow").rglob("*.py")} - {"__init__"}
    assert isinstance(modules, list)
    shadowed = {stem for stem in stems & set(modules) if stem not in sys.stdlib_module_names}
    assert shadowed == set()
