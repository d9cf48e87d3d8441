import os
import subprocess
import sys
from pathlib import Path

from processes import wait_until

WORKER = (
    "from mlforge.serving.worker import end_with_parent as e; import time; e(); print('up', flush=True); time.sleep(60)"
)
WATCHER = f"""
import subprocess, sys
worker = subprocess.Popen([sys.executable, "-c", {WORKER!r}], stdout=subprocess.PIPE)
worker.stdout.readline()
print(worker.pid, flush=True)
input()
"""


def test_a_worker_ends_when_its_watcher_is_killed() -> None:
    watcher = subprocess.Popen([sys.executable, "-c", WATCHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert watcher.stdout is not None
    worker = int(watcher.stdout.readline())
    os.kill(worker, 0)
    watcher.kill()
    watcher.wait()
    wait_until(lambda: _gone(worker), seconds=10)


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True
