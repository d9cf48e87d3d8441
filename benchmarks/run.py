"""All benchmarks, one table."""

from __future__ import annotations

import command
import demo
import parsing
import tasks
from figures import show


def main() -> None:
    show([*command.measure(), *parsing.measure(), *tasks.measure(), *demo.measure()])


if __name__ == "__main__":
    main()
