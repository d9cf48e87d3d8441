"""Get uv where Python has neither venv nor pip: its wheel from PyPI is a zip file that holds the program."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import sys
import urllib.request
import zipfile
from pathlib import Path

INDEX = "https://pypi.org/pypi/uv/json"


def main(target: Path) -> None:
    """Write the program to the target."""
    machine = platform.machine()
    libc = "musllinux" if any(Path("/lib").glob("ld-musl-*")) else "manylinux"
    with urllib.request.urlopen(INDEX, timeout=60) as answer:
        files = json.load(answer)["urls"]
    for file in files:
        if file["filename"].endswith(f"_{machine}.whl") and libc in file["filename"]:
            break
    else:
        raise SystemExit(f"there is no uv for {machine} → install uv by hand: https://docs.astral.sh/uv")
    with urllib.request.urlopen(file["url"], timeout=300) as answer:  # noqa: S310  (an https address from the index)
        content = answer.read()
    if hashlib.sha256(content).hexdigest() != file["digests"]["sha256"]:
        raise SystemExit("uv's wheel is not what the index says → try again")
    with zipfile.ZipFile(io.BytesIO(content)) as wheel:
        program = next(name for name in wheel.namelist() if name.endswith("/scripts/uv"))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(wheel.read(program))
    target.chmod(0o755)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
