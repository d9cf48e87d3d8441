"""The texts of a scaffold's files, with `$name` where values go."""

from __future__ import annotations

from importlib.resources import files
from string import Template
from typing import Any


def fill(template: str, **values: Any) -> str:
    """Return a template's text with its values filled in; the values themselves are not looked at.

    Args:
        template: Its name without `.txt`.
        values: Name → text, for every name in it.
    """
    text = (files(__name__) / f"{template}.txt").read_text(encoding="utf-8")
    return Template(text).substitute(values)
