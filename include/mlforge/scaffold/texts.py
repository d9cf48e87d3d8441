"""Values in the text of generated files, so that a reader gets back exactly the value: YAML, Python, SQL, Markdown."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any


def yaml_value(value: Any) -> str:
    """Return a scalar, or a list of scalars, as YAML in one line."""
    import yaml

    if isinstance(value, list):
        return "[" + ", ".join(yaml_value(item) for item in value) + "]"
    if isinstance(value, str):
        return _yaml_text(value)
    dumped: str = yaml.safe_dump(value, default_flow_style=True, width=10**6)
    return dumped.removesuffix("\n").removesuffix("\n...")


def _yaml_text(value: str) -> str:
    """Return a text as YAML: plain where it reads as itself also inside braces, else quoted."""
    import yaml

    plain = value and value.isascii() and all(letter.isalnum() or letter in " _-./" for letter in value)
    try:
        if plain and value == value.strip() and value[0].isalnum() and yaml.safe_load(value) == value:
            return value
    except (yaml.YAMLError, ValueError):
        pass
    dumped: str = yaml.safe_dump(value, default_style='"', width=10**6, allow_unicode=True)
    return dumped.removesuffix("\n")


def python_value(value: Any) -> str:
    """Return a plain value as Python source, in the quotes that ruff would choose."""
    if isinstance(value, str):
        return python_text(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{python_value(k)}: {python_value(v)}" for k, v in value.items()) + "}"
    return repr(value)


def python_text(value: str) -> str:
    """Return a text as a Python literal in double quotes, or in single ones where that saves escapes."""
    if value.count('"') > value.count("'"):
        return repr(value)
    inner = repr(f"'{value}")  # a single quote inside makes repr choose double quotes, or escape both
    if inner.startswith('"'):
        return f'"{inner[2:]}'
    body = repr(value)[1:-1].replace("\\'", "'").replace('"', '\\"')
    return f'"{body}"'


def sql_literal(value: Any) -> str:
    """Return a value as an SQL literal."""
    from psycopg import sql

    if isinstance(value, dt.date | dt.datetime):
        value = value.isoformat()
    return sql.Literal(value).as_string(None)


def bound_sql(text: str) -> str:
    """Return SQL for a file whose parameters are bound: a percent sign of its own is written twice."""
    return text.replace("%", "%%")


def json_value(value: Any) -> str:
    """Return a value as JSON."""
    return json.dumps(value, ensure_ascii=False, default=str)


def prose(text: str) -> str:
    """Return a text that stands in a comment, a docstring or Markdown, without anything that could end it."""
    clean = "".join(letter if letter.isprintable() else " " for letter in text)
    return clean.replace("\\", "/").replace('"""', "'''").replace("`", "'").replace("|", "/")
