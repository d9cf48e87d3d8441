"""A skops archive of an estimator, the same bytes every time.

skops names the parts of an archive by their addresses in memory, and a zip file notes when they were written.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import PurePath
from typing import Any

_SCHEMA = "schema.json"


def archive(estimator: Any) -> bytes:
    """Return a fitted estimator as a skops archive, its parts numbered as they come and dated as zip files begin."""
    import skops.io

    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(estimator))) as given:
        numbering = _Numbering()
        schema = numbering.renamed(json.loads(given.read(_SCHEMA)))
        with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archived:
            _add(archived, _SCHEMA, json.dumps(schema).encode())
            for old, new in numbering.files.items():
                _add(archived, new, given.read(old))
    return written.getvalue()


def _add(archived: zipfile.ZipFile, name: str, content: bytes) -> None:
    # A ZipInfo that is told no date has the first that there is, 1980.
    archived.writestr(zipfile.ZipInfo(name), content, compress_type=zipfile.ZIP_DEFLATED)


class _Numbering:
    """Numbers for addresses in memory, in the order in which the schema names them.

    Attributes:
        files: Name in the archive that skops wrote → its name here.
    """

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self._shared: dict[int, int] = {}
        self._last = 0

    def renamed(self, node: Any) -> Any:
        """Return a part of the schema with numbers for addresses."""
        if isinstance(node, list):
            return [self.renamed(each) for each in node]
        if not isinstance(node, dict):
            return node
        new = {name: self.renamed(value) for name, value in node.items()}
        if isinstance(node.get("__id__"), int):
            new["__id__"] = self._number(node["__id__"], shared=not node.get("is_json"))
        if isinstance(node.get("file"), str):
            new["file"] = self._file(node["file"])
        return new

    def _number(self, address: int, *, shared: bool) -> int:
        """Return a part's number; plain values get one each, for it is chance which of them are one object."""
        if shared and address in self._shared:
            return self._shared[address]
        self._last += 1
        if shared:
            self._shared[address] = self._last
        return self._last

    def _file(self, old: str) -> str:
        return self.files.setdefault(old, f"{len(self.files) + 1}{PurePath(old).suffix}")
