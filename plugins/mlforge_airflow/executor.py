"""An executor whose workers find the heavy libraries already imported."""

from __future__ import annotations

import gc
import importlib
import logging
import time

from airflow.configuration import conf
from airflow.executors.local_executor import LocalExecutor

logger = logging.getLogger(__name__)


class PreloadingLocalExecutor(LocalExecutor):
    """LocalExecutor that imports the modules of `[mlforge] preload` before it forks its workers.

    Importing feast, mlflow and xgboost takes a task's process 13 to 19 seconds; inherited by fork, 0.2. Only
    third-party modules belong there: a worker lives as long as the scheduler, and our own code would go stale.
    """

    def start(self) -> None:
        """Import, then start the workers; a module that cannot be imported is named in the log and left out."""
        if self.is_mp_using_fork:
            preload(_configured_modules())
        super().start()


def main() -> None:
    """Run `airflow …` with the modules imported beforehand.

    The scheduler's heartbeat begins before its executor starts, and the imports may take longer than it may be
    missed: then the scheduler counts itself as dead. So `mlforge up` starts the scheduler by this.
    """
    from airflow.__main__ import main as airflow

    preload(_configured_modules())
    airflow()  # type: ignore[no-untyped-call]


def _configured_modules() -> list[str]:
    names = conf.get("mlforge", "preload", fallback="") or ""
    return [name.strip() for name in names.split(",")]


def preload(names: list[str]) -> list[str]:
    """Import the named modules and return those that could be imported.

    Raises:
        ValueError: A module of our own is named.
    """
    ours = [name for name in names if name.split(".")[0] in {"mlforge", "mlforge_airflow", "use_cases"}]
    if ours:
        raise ValueError(f"[mlforge] preload names {', '.join(ours)}: only third-party modules may be preloaded")
    imported = []
    started = time.monotonic()
    for name in filter(None, names):
        try:
            importlib.import_module(name)
        except Exception as error:
            logger.warning("cannot preload %s: %s", name, error)
        else:
            imported.append(name)
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    gc.collect()
    logger.info("preloaded %d modules in %.1f s", len(imported), time.monotonic() - started)
    return imported


if __name__ == "__main__":
    main()
