"""The frame of a page, and its plain parts: cards and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Literal

# Nothing is loaded or sent: a page works offline and tells nobody.
_POLICY = {
    "default-src": "'none'",
    "style-src": "'unsafe-inline'",
    "img-src": "data:",
    "base-uri": "'none'",
    "form-action": "'none'",
}
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2433; --dim: #5d6778; --paper: #fff; --card: #f5f7fa; --line: #dfe4ec;
  --good: #1a7f4b; --bad: #c0392b; --warn: #b26a00; --bar: #4a78c9; --wash: #dbe6f8;
  --c0: #3867d6; --c1: #d9822b; --c2: #1a9c74; --c3: #a64fb5; --c4: #c0392b; --c5: #5d6778; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --dim: #9aa5b5; --paper: #14181f; --card: #1d232d;
  --line: #313a48; --good: #4cc38a; --bad: #f07d6f; --warn: #e5a13d; --bar: #7ba4ee; --wash: #26395c;
  --c0: #7aa2ff; --c1: #f0a860; --c2: #4cc9a0; --c3: #d08be0; --c4: #f07d6f; --c5: #9aa5b5; } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1180px; padding: 2rem 1.5rem 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: 0 0 .2rem } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem }
p { margin: .3rem 0; color: var(--dim) } code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: .8rem; margin: 1.4rem 0 }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem }
.card b { display: block; font-size: 1.4rem; font-variant-numeric: tabular-nums } .card span { color: var(--dim) }
.good, .good b { color: var(--good) } .bad, .bad b { color: var(--bad) } .warn, .warn b { color: var(--warn) }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100% }
th { text-align: left; color: var(--dim); font-weight: 600 }
th, td { padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
svg { display: block } svg:not([width]) { width: 100%; height: auto }
svg text { fill: var(--dim); font: 12px system-ui, sans-serif }
svg .axis { stroke: var(--line) } svg .zero { stroke: var(--dim); stroke-dasharray: 4 3 }
.legend { display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; color: var(--dim); font-size: .9rem }
.legend i { display: inline-block; width: .8rem; height: .8rem; border-radius: 3px; margin-right: .4rem }
"""

Tone = Literal["", "good", "bad", "warn"]


class Raw(str):
    """HTML that is shown as it is; all other text is escaped."""

    __slots__ = ()


def policy_tag(more: Mapping[str, str] | None = None) -> str:
    """Return the tag that closes a page to the network.

    Args:
        more: Directive → its sources, for a page that needs more than styles and images of its own.
    """
    policy = "; ".join(f"{name} {sources}" for name, sources in {**_POLICY, **(more or {})}.items())
    return f'<meta http-equiv="Content-Security-Policy" content="{policy}">'


def html_page(title: str, parts: Iterable[str], *, style: str = "", policy: Mapping[str, str] | None = None) -> str:
    """Return a whole page.

    Args:
        title: Plain text of the window's title.
        parts: HTML of the body, escaped already; empty parts are left out.
        style: CSS beyond that of all pages.
        policy: What it needs beyond styles and images of its own, as `policy_tag` takes it.
    """
    body = "\n".join(part for part in parts if part)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"{policy_tag(policy)}\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def card(value: object, label: str, tone: Tone = "") -> str:
    """Return a card: a large value over what it is."""
    return f'<div class="card {tone}"><b>{text(value)}</b><span>{escape(label)}</span></div>'


def cards(*each: str) -> str:
    """Return cards beside each other."""
    return f'<div class="cards">{"".join(each)}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Iterable[int] = ()) -> str:
    """Return a table.

    Args:
        head: Titles of the columns.
        rows: Cells, plain text or `Raw`.
        numbers: Places of the columns that hold numbers.
    """
    right = frozenset(numbers)

    def line(tag: str, cells: Sequence[object]) -> str:
        marks = (f'<{tag} class="n">' if place in right else f"<{tag}>" for place in range(len(cells)))
        return "".join(f"{mark}{text(cell)}</{tag}>" for mark, cell in zip(marks, cells, strict=True))

    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{line("th", head)}</tr></thead><tbody>{body}</tbody></table></div>'


def text(value: object) -> str:
    """Return a value as HTML: escaped, unless it is `Raw`."""
    return str(value) if isinstance(value, Raw) else escape(str(value))
