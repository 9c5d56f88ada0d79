"""The data that the reference agents are tried with: a shop's orders."""

from typing import Final

from core.settings import PROJECT_ROOT, settings
from tools.contract import Tool
from tools.sql import data_tools

FOLDER: Final = PROJECT_ROOT / "docs" / "examples"
_QUESTIONS: Final = {
    "How many orders are there?": "SELECT count(*) FROM orders",
    "Who paid most?": (
        "SELECT customer, sum(quantity * price_eur) FROM orders GROUP BY customer ORDER BY 2 DESC LIMIT 1"
    ),
}


def order_tools() -> tuple[Tool, Tool]:
    """Return the tools that query the example orders, or the data that `BORING_QUERY_DIR` names."""
    if folder := settings().query_dir:
        return data_tools(root=folder)
    return data_tools(root=FOLDER, examples=_QUESTIONS)
