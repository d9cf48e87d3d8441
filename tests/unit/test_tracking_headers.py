"""What MLflow's first request imports."""

from __future__ import annotations

import subprocess
import sys

from mlforge.settings import Settings

CODE = """
import sys
from mlforge.tracking import configure_tracking
configure_tracking()
from mlflow.tracking.request_header.registry import resolve_request_headers
from mlflow.utils.plugins import get_entry_points
print(sorted(resolve_request_headers()), "feast" in sys.modules)
print([each.name for each in get_entry_points("mlflow.request_header_provider")])
"""


def test_feast_is_not_imported_for_a_header(installation: Settings) -> None:
    done = subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True, text=True)
    headers, plugins = done.stdout.splitlines()
    assert headers == "['User-Agent', 'X-MLflow-Client-Version'] False"
    assert plugins == "['feast']", "without this plugin there is nothing to leave out any more"
