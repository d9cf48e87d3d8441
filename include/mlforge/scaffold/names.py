"""Names: what a source calls its columns, and what they are called as fields, features and files."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from mlforge.errors import SpecError

MAX_LENGTH = 24
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,23}")
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
# PostgreSQL's reserved words, and those that may stand for a function or a type only.
_RESERVED = frozenset(
    {
        "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization", "binary",
        "both", "case", "cast", "check", "collate", "collation", "column", "concurrently", "constraint", "create",
        "cross", "current_catalog", "current_date", "current_role", "current_schema", "current_time",
        "current_timestamp", "current_user", "default", "deferrable", "desc", "distinct", "do", "else", "end",
        "except", "false", "fetch", "for", "foreign", "freeze", "from", "full", "grant", "group", "having",
        "ilike", "in", "initially", "inner", "intersect", "into", "is", "isnull", "join", "lateral", "leading",
        "left", "like", "limit", "localtime", "localtimestamp", "natural", "not", "notnull", "null", "offset",
        "on", "only", "or", "order", "outer", "overlaps", "placing", "primary", "references", "returning",
        "right", "select", "session_user", "similar", "some", "symmetric", "system_user", "table", "tablesample",
        "then", "to", "trailing", "true", "union", "unique", "user", "using", "variadic", "verbose", "when",
        "where", "window", "with"
    }
)  # fmt: skip
# What the warehouse, the spine and the staging tables call columns of their own.
TAKEN = frozenset({"event_timestamp", "known_at", "partition_key", "_row_id", "_copies", "_rules", "_partition_day"})
# What `model.derive` adds.
DERIVED = frozenset({"moment_weekday", "moment_hour"})
_MAX_BYTES = 63  # PostgreSQL cuts longer names


def is_identifier(text: str) -> bool:
    """Return whether a text may name a use case, a dataset, a view or a field."""
    return bool(_IDENTIFIER.fullmatch(text))


def nearest_identifier(text: str, *, fallback: str = "column") -> str:
    """Return the identifier that is nearest to a text: ASCII letters, digits and single underscores, 24 at most."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore").decode()
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain).lower()
    name = re.sub(r"[^a-z0-9]+", "_", words).strip("_")
    if not name:
        name = fallback
    if not name[0].isalpha():
        name = f"{fallback[0]}_{name}"
    return name[:MAX_LENGTH].rstrip("_")


def require_identifier(text: str, what: str) -> str:
    """Return the text if it may name something.

    Raises:
        SpecError: It may not; the hint has the nearest name that may.
    """
    if is_identifier(text):
        return text
    near = nearest_identifier(text.lstrip("0123456789_- "), fallback=what.replace(" ", "_"))
    raise SpecError(
        f"{text!r} cannot be the name of a {what}: it takes small letters, digits and _, a letter first,"
        f" {MAX_LENGTH} characters at most",
        hint=f"take {near!r}",
    )


def aliases(columns: Iterable[str]) -> dict[str, str]:
    """Return for each column of a source the identifier under which it is a field; no two are the same."""
    found: dict[str, str] = {}
    for column in columns:
        found[column] = unique_name(nearest_identifier(column), {*found.values(), *TAKEN, *DERIVED})
    return found


def unique_name(name: str, taken: Iterable[str]) -> str:
    """Return the name, with a number at its end if it is taken, within the length that names may have."""
    used, number, chosen = set(taken), 2, name
    while chosen in used:
        ending = f"_{number}"
        chosen, number = name[: MAX_LENGTH - len(ending)].rstrip("_") + ending, number + 1
    return chosen


def require_columns(columns: list[str], where: str) -> None:
    """Check that every column of a source has a name that a contract, PostgreSQL and the checks can take.

    Names with blanks, capitals, quotes or reserved words are fine: they are quoted wherever they stand.

    Raises:
        SpecError: A name is missing, stands twice, is taken by the warehouse, or cannot be quoted.
    """
    problems = {name: why for name in columns if (why := _problem(name))}
    problems |= {name: "it stands twice" for name in columns if columns.count(name) > 1}
    if problems:
        raise SpecError(
            f"{len(problems)} of the source's {len(columns)} columns have a name that cannot be used",
            where=where,
            evidence=[f"{name!r}: {why}" for name, why in problems.items()],
            hint="rename them in the source: the contract's columns are the source's",
        )


def _problem(name: str) -> str | None:
    if not name.strip():
        return "it is empty"
    if name in TAKEN:
        return "the warehouse has a column of its own with this name"
    if len(name.encode()) > _MAX_BYTES:
        return f"it is longer than PostgreSQL's {_MAX_BYTES} bytes"
    if name.startswith((".", "[")):
        return "it begins like a path into a nested column"  # so Arrow reads it
    if "%" in name:
        return "it has a per cent sign, which stands for a parameter in SQL"
    if not name.isprintable():
        return "it has a character that cannot be printed"
    return None


def sql_name(name: str) -> str:
    """Return a name as PostgreSQL reads it: quoted where it must be."""
    if _PLAIN.fullmatch(name) and name not in _RESERVED:
        return name
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
