"""The page of a drift report: Evidently's own, closed to the network, with our findings on top."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from mlforge.pages import html_page, policy_tag

# Whatever Evidently's scripts try, nothing is loaded or sent.
_POLICY = {"script-src": "'unsafe-inline'", "font-src": "data:", "img-src": "data: blob:"}


def render_page(html: str, *, title: str, facts: Mapping[str, str], findings: Mapping[str, str]) -> str:
    """Return Evidently's page with a title, facts and findings before its charts, and nothing loaded from outside.

    Args:
        html: Evidently's page, or an empty text when no column could be scored.
        title: Heading.
        facts: Name to value, such as the release compared with.
        findings: Column to finding.
    """
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items())
    items = "".join(f"<li><code>{escape(name)}</code> {escape(text)}</li>" for name, text in findings.items())
    parts = [
        f"<h1>{escape(title)}</h1><table style='text-align:left;border-spacing:1rem .2rem'>{rows}</table>",
        f"<h2>Findings</h2><ul>{items or '<li>none beyond the scores</li>'}</ul>",
    ]
    if not html:
        return html_page(title, parts)
    head = f"{policy_tag(_POLICY)}\n<title>{escape(title)}</title>"
    # Its charts have a white ground and styles of their own: ours would change them.
    ours = "<section style='font-family:sans-serif;max-width:1200px;margin:1.5rem auto'>"
    page = html.replace("<head>", f"<head>\n{head}", 1)
    return page.replace("<body>", f"<body>\n{ours}{''.join(parts)}</section>", 1)
