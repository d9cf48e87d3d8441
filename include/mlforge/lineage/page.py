"""The lineage of a use case as one page: boxes of columns from left to right, and the ways between them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape

from mlforge.lineage.graph import LineageGraph, Table
from mlforge.pages import html_page

LAYERS = ("source", "warehouse", "features", "training_set", "model", "other")
_TITLES = {
    "source": "Sources",
    "warehouse": "Warehouse",
    "features": "Feature views",
    "training_set": "Training set",
    "model": "Model",
    "other": "Other tables",
}
WIDTH, GAP, ROW, HEAD, SPACE, MARGIN, TOP = 292, 100, 19, 30, 22, 24, 44
_CHARACTERS = 37  # that fit into a box

_POLICY = {"script-src": "'unsafe-inline'"}
_STYLE = """
:root { --way: #9db1d3; --head: #e9edf4 }
@media (prefers-color-scheme: dark) { :root { --way: #43557a; --head: #262e3b } }
body { max-width: none; padding: 0 0 1.5rem }
header { padding: 1.25rem 24px .5rem; max-width: 1100px }
form { padding: .5rem 24px 0; display: flex; gap: .8rem; align-items: center; flex-wrap: wrap; color: var(--dim) }
input[type=search] { font: inherit; color: var(--ink); background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; padding: 5px 10px; width: 260px }
.key { display: inline-flex; gap: 6px; align-items: center } .key i { width: 26px; border-top: 2px solid var(--c0) }
.key i.d { border-top: 2px dashed var(--c1) } main { overflow: auto; padding: .5rem 0 0 }
svg .name, svg .column { font: 12px/1 ui-monospace, Menlo, Consolas, monospace; fill: var(--ink) }
svg .name { font-weight: 600 } svg .layer { font: 600 13px system-ui, sans-serif }
.box { fill: var(--card); stroke: var(--line) } .head { fill: var(--head); stroke: var(--line) }
.row { fill: transparent } g.c { cursor: pointer } g.c:hover .row, g.c.hit .row { fill: var(--wash) }
g.c:focus { outline: none } g.c:focus .row { stroke: var(--c0) } g.c.start .row { fill: var(--c0) }
svg g.c.start .column { fill: var(--paper) }
path.w { fill: none; stroke: var(--way); stroke-width: 1; opacity: .55 }
path.w.d { display: none; stroke: var(--c1); stroke-dasharray: 4 3 } .picked path.w { opacity: .08 }
.picked g.c:not(.hit):not(.start) .column { opacity: .3 }
.picked path.w.hit { display: inline; opacity: 1; stroke-width: 1.6 } .picked path.w.hit:not(.d) { stroke: var(--c0) }
"""
_SCRIPT = """
const svg = document.querySelector('svg'), said = document.querySelector('#said');
const ways = [...svg.querySelectorAll('path.w')];
const columns = new Map([...svg.querySelectorAll('g.c')].map(g => [g.dataset.id, g]));
const up = new Map(), down = new Map();
for (const w of ways) for (const [m, k] of [[down, w.dataset.from], [up, w.dataset.to]])
  m.has(k) ? m.get(k).push(w) : m.set(k, [w]);
let pinned = null;
function follow(starts, m, end, decides) {
  const seen = new Set(starts), todo = [...starts];
  while (todo.length) for (const w of m.get(todo.pop()) || []) {
    if (w.classList.contains('d') && !decides) continue;
    w.classList.add('hit');
    const next = w.dataset[end];
    if (!seen.has(next)) { seen.add(next); todo.push(next); }
  }
  return seen;
}
function show(ids) {
  for (const e of svg.querySelectorAll('.hit, .start')) e.classList.remove('hit', 'start');
  svg.classList.toggle('picked', ids.length > 0);
  said.textContent = '';
  if (!ids.length) return;
  const all = document.querySelector('#all').checked;
  const before = follow(ids, up, 'from', all), after = follow(ids, down, 'to', all);
  for (const id of [...before, ...after]) columns.get(id)?.classList.add('hit');
  for (const id of ids) { const g = columns.get(id); g.classList.remove('hit'); g.classList.add('start'); }
  const models = [...after].filter(id => id.startsWith('model.')).length;
  said.textContent = `${ids.length === 1 ? ids[0] : ids.length + ' columns'}: comes from ${before.size - ids.length}, `
    + `read by ${after.size - ids.length}, of them ${models} of the model`;
}
for (const [id, g] of columns) {
  g.addEventListener('mouseenter', () => pinned || show([id]));
  g.addEventListener('mouseleave', () => pinned || show([]));
  const pick = () => { pinned = pinned === id ? null : id; show(pinned ? [id] : []); };
  g.addEventListener('click', pick);
  g.addEventListener('keydown', e => { if (e.key === 'Enter') pick(); });
}
const search = document.querySelector('#search');
function find() {
  const text = search.value.trim().toLowerCase();
  pinned = text ? '*' : null;
  show(text ? [...columns.keys()].filter(id => id.toLowerCase().includes(text)) : []);
}
search.addEventListener('input', find);
document.querySelector('#all').addEventListener('change', () => pinned === '*' ? find() : show(pinned ? [pinned] : []));
document.querySelector('form').addEventListener('submit', e => e.preventDefault());
const first = JSON.parse(document.querySelector('#first').textContent);
if (first.length) { pinned = '*'; show(first); columns.get(first[0]).scrollIntoView({block: 'center'}); }
"""


@dataclass(frozen=True)
class _Box:
    table: Table
    left: int
    top: int
    columns: list[str]

    @property
    def height(self) -> int:
        return HEAD + ROW * len(self.columns) + 6

    def middle(self, column: str) -> int:
        return self.top + HEAD + ROW * self.columns.index(column) + ROW // 2


def render_lineage(graph: LineageGraph, *, title: str, chosen: list[tuple[str, str]] | None = None) -> str:
    """Return the page.

    Args:
        graph: What it shows.
        title: Of the use case.
        chosen: Columns that are marked when it opens.
    """
    boxes = _arrange(graph)
    width = max((box.left + WIDTH for box in boxes.values()), default=0) + MARGIN
    height = max((box.top + box.height for box in boxes.values()), default=0) + MARGIN
    layers = {box.table.layer: box.left for box in boxes.values()}
    titles = "".join(
        f'<text class="layer" x="{left}" y="26">{escape(_TITLES[layer])}</text>' for layer, left in layers.items()
    )
    first = [".".join(node) for node in chosen or [] if node[0] in boxes and node[1] in boxes[node[0]].columns]
    marked = json.dumps(first).replace("<", "\\u003c")
    parts = [
        f"<header><h1>{escape(title)}</h1><p>Where every column of <b>{escape(graph.use_case)}</b> comes from. "
        "Point at a column to follow it, click to keep it.</p></header>",
        '<form><input id="search" type="search" placeholder="Find a column, such as arr_delay" '
        'aria-label="Find a column"><label><input id="all" type="checkbox"> also what only decides</label>'
        '<span class="key"><i></i>values are made of it</span>'
        '<span class="key"><i class="d"></i>it decides which</span><span id="said" role="status"></span></form>',
        f'<main><svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="Column lineage">{titles}{_ways(graph, boxes)}{"".join(map(_draw, boxes.values()))}</svg></main>',
        f'<script type="application/json" id="first">{marked}</script><script>{_SCRIPT}</script>',
    ]
    return html_page(f"Lineage of {graph.use_case}", parts, style=_STYLE, policy=_POLICY)


def _arrange(graph: LineageGraph) -> dict[str, _Box]:
    """Return where each table stands: a stack per layer, layers from left to right."""
    boxes: dict[str, _Box] = {}
    left = MARGIN
    for layer in LAYERS:
        tables = [table for table in graph.tables.values() if table.layer == layer and table.columns]
        top = TOP
        for table in tables:
            boxes[table.name] = _Box(table, left, top, list(table.columns))
            top += boxes[table.name].height + SPACE
        left += (WIDTH + GAP) if tables else 0
    return boxes


def _ways(graph: LineageGraph, boxes: dict[str, _Box]) -> str:
    """Return the curves; indirect ones are shown when a column is followed."""
    drawn: dict[tuple[str, str, str], str] = {}
    for box in boxes.values():
        for column in box.columns:
            for (place, source), item in graph.inputs((box.table.name, column)):
                origin = boxes.get(place)
                if origin is None or source not in origin.columns:
                    continue
                start, end = f"{place}.{source}", f"{box.table.name}.{column}"
                x1, y1, x2, y2 = origin.left + WIDTH, origin.middle(source), box.left, box.middle(column)
                bend = max(40, (x2 - x1) // 2)
                kind = "w d" if item.kind == "INDIRECT" else "w"
                drawn[start, end, item.kind] = (
                    f'<path class="{kind}" data-from="{escape(start)}" data-to="{escape(end)}" '
                    f'd="M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"/>'
                )
    return "".join(drawn.values())


def _draw(box: _Box) -> str:
    """Return a box with its columns."""
    name = box.table.name.partition(".")[2] or box.table.name.replace("_", " ")
    rows = "".join(_draw_column(box, column) for column in box.columns)
    return (
        f'<rect class="box" x="{box.left}" y="{box.top}" width="{WIDTH}" height="{box.height}" rx="7"/>'
        f'<path class="head" '
        f'd="M{box.left} {box.top + HEAD - 4}v-{HEAD - 11}q0 -7 7 -7h{WIDTH - 14}q7 0 7 7v{HEAD - 11}z"/>'
        f'<text class="name" x="{box.left + 11}" y="{box.top + 17}">{escape(_short(name))}</text>{rows}'
    )


def _draw_column(box: _Box, column: str) -> str:
    identity, y = f"{box.table.name}.{column}", box.middle(column)
    ways = sorted({item.subtype.lower().replace("_", " ") for item in box.table.columns[column]})
    about = f"{identity}: {', '.join(ways)}" if ways else identity
    return (
        f'<g class="c" tabindex="0" data-id="{escape(identity)}"><title>{escape(about)}</title>'
        f'<rect class="row" x="{box.left + 4}" y="{y - ROW // 2}" width="{WIDTH - 8}" height="{ROW - 1}" rx="4"/>'
        f'<text class="column" x="{box.left + 11}" y="{y + 4}">{escape(_short(column))}</text></g>'
    )


def _short(text: str) -> str:
    return text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 1]}…"
