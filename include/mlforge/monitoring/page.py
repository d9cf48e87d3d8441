"""The page of a drift report: Evidently's own, closed to the network, with our findings on top."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

# Nothing may be loaded or sent, whatever Evidently's scripts try: the page works offline and tells nobody.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; font-src data:; img-src data: blob:; "
    "form-action 'none'; base-uri 'none'"
)
_EMPTY_PAGE = '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="UTF-8">\n</head>\n<body>\n</body>\n</html>\n'


def render_page(html: str, *, title: str, facts: Mapping[str, str], findings: Mapping[str, str]) -> str:
    """Return Evidently's page with a title, facts and findings before its charts, and nothing loaded from outside.

    Args:
        html: Evidently's page, or an empty text when no column could be scored.
        title: Heading.
        facts: Name to value, such as the release compared with.
        findings: Column to finding.
    """
    head = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n<title>{escape(title)}</title>'
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items())
    items = "".join(f"<li><code>{escape(name)}</code> {escape(text)}</li>" for name, text in findings.items())
    body = (
        "<section style='font-family:sans-serif;max-width:1200px;margin:1.5rem auto'>"
        f"<h1>{escape(title)}</h1><table style='text-align:left;border-spacing:1rem .2rem'>{rows}</table>"
        f"<h2>Findings</h2><ul>{items or '<li>none beyond the scores</li>'}</ul></section>"
    )
    page = html or _EMPTY_PAGE
    return page.replace("<head>", f"<head>\n{head}", 1).replace("<body>", f"<body>\n{body}", 1)
