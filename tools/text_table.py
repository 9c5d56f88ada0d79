"""Rows as compact text, for a model to read."""

from collections.abc import Sequence


def text_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, note: str = "") -> str:
    """Return a heading and a line for each row, cells apart by ` | `, and how many rows there are.

    Args:
        columns: the heading.
        rows: cells as text; line breaks and bars in them are marked with a backslash.
        note: what is to be known of rows that are left out.
    """
    lines = [" | ".join(map(_cell, row)) for row in (columns, *rows)]
    count = f"[{len(rows)} {'row' if len(rows) == 1 else 'rows'}{f': {note}' if note else ''}]"
    return "\n".join([*lines, count])


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\r", "\\r").replace("\n", "\\n")
