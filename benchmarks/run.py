"""All benchmarks, one table."""

from __future__ import annotations

import backfill
import command
import demo
import features
import ingest
import parsing
import tasks
import tracking
import training
import walk_forward
from figures import show


def main() -> None:
    measured = (command, parsing, ingest, features, training, tracking, walk_forward, tasks, demo, backfill)
    show([figure for module in measured for figure in module.measure()])


if __name__ == "__main__":
    main()
