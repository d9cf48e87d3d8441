"""What fitting costs: seconds, processor time, memory."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

_INTERVAL = 0.5
_MEGABYTE = 1e6


class ResourceMeter(AbstractContextManager["ResourceMeter"]):
    """Measures this process while its block runs; a thread looks twice a second.

    MLflow's own monitor wants an open run and a sample of its own thread every ten seconds: a fit of two seconds would
    have none. The names begin with `system/`, so MLflow shows them with its system metrics.

    Attributes:
        samples: (seconds since the start, processor in percent of a core, memory in MB).
    """

    def __init__(self) -> None:
        self.samples: list[tuple[float, float, float]] = []
        self._done = threading.Event()

    def __enter__(self) -> Self:
        import psutil

        self._process = psutil.Process()
        self._process.cpu_percent()
        self._began, self._cpu = time.perf_counter(), time.process_time()
        self._thread = threading.Thread(target=self._watch, name="resource meter", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        self._look()
        self._seconds = time.perf_counter() - self._began
        self._cpu = time.process_time() - self._cpu

    @property
    def metrics(self) -> dict[str, float]:
        """Seconds of wall clock and processor, and the most memory that was seen."""
        return {
            "system/fit_seconds": self._seconds,
            "system/fit_cpu_seconds": self._cpu,
            "system/fit_peak_memory_megabytes": max(memory for _, _, memory in self.samples),
        }

    def _watch(self) -> None:
        while not self._done.wait(_INTERVAL):
            self._look()

    def _look(self) -> None:
        memory = self._process.memory_info().rss / _MEGABYTE
        self.samples.append((time.perf_counter() - self._began, self._process.cpu_percent(), memory))
