"""Pages of their own: one file, nothing loaded from elsewhere, light and dark, every value escaped."""

from mlforge.pages.charts import Line, interval_chart, line_chart
from mlforge.pages.frame import Raw, card, cards, html_page, policy_tag, table

__all__ = ["Line", "Raw", "card", "cards", "html_page", "interval_chart", "line_chart", "policy_tag", "table"]
