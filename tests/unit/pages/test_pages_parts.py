from __future__ import annotations

from mlforge.pages import Line, Raw, card, html_page, interval_chart, line_chart, policy_tag, table


def test_values_are_escaped_and_only_raw_html_is_not() -> None:
    made = table(["a<b"], [["<script>"], [Raw("<b>x</b>")]])
    assert "<script>" not in made
    assert "&lt;script&gt;" in made
    assert "<b>x</b>" in made
    assert "a&lt;b" in made
    assert "<i>" not in card("<i>", "<i>")


def test_a_page_loads_nothing_from_elsewhere() -> None:
    page = html_page("t", [card(1, "one"), ""])
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_page_opens_only_what_it_asks_for() -> None:
    assert "script-src" not in html_page("t", [])
    assert "img-src data:;" in policy_tag({"script-src": "'unsafe-inline'"})
    opened = html_page("t", [], policy={"script-src": "'unsafe-inline'", "img-src": "data: blob:"})
    assert "default-src 'none'" in opened
    assert "script-src 'unsafe-inline'" in opened
    assert opened.count("img-src") == opened.count("img-src data: blob:;") == 1


def test_a_gap_breaks_the_line_and_a_lone_point_is_a_dot() -> None:
    drawn = line_chart(["1", "2", "3", "4"], [Line("x", [1.0, 2.0, None, 4.0])], label="x")
    assert drawn.count("<polyline") == 1
    assert drawn.count("<circle") == 1


def test_nothing_known_is_said() -> None:
    assert "nothing to draw" in line_chart(["1"], [Line("x", [None])], label="x")


def test_an_interval_wholly_beyond_the_margin_stands_out() -> None:
    drawn = interval_chart([("good", -1.0, 0.0, 1.0), ("worse", 3.0, 4.0, 5.0)], limit=2.0, label="x")
    assert drawn.count('fill="var(--bad)"') == 1


def test_a_scale_has_round_values_with_zero_and_named_rows_stand_out() -> None:
    drawn = interval_chart([("a", -0.003, 0.001, 0.012)], limit=None, label="x", digits=3, failed=["a"])
    assert all(f">{value}<" in drawn for value in ("+0.000", "+0.005", "+0.010"))
    assert drawn.count('fill="var(--bad)"') == 1
    assert 'fill="var(--bad)"' not in interval_chart([("a", 1.0, 2.0, 3.0)], limit=0.5, label="x", failed=[])
