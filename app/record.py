"""One record, such as a call or a request, shown field by field."""

from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

from core.text import in_hanging_lines, in_one_line


def print_record(
    told: Mapping[str, object],
    console: Console,
    *,
    of_lines: frozenset[str] = frozenset(),
    depth: int = 0,
) -> None:
    """Show a record: a field a line, and below it the lines of one that has several, indented deeper.

    Whatever a value holds, none of its lines can be taken for a field.

    Args:
        told: the fields; those that are None are left out.
        console: where.
        of_lines: the names of the fields that may have several lines; in others, an end of line is a code.
        depth: how many spaces stand before each name.
    """
    before = " " * depth
    for name, value in told.items():
        if value is None:
            continue
        held = str(value)
        if name in of_lines and "\n" in held:
            shown = in_hanging_lines(f"\n{held}", by=depth + 4)
        else:
            shown = f" {in_one_line(held)}"
        console.print(Text.assemble((f"{before}{name}", "bold"), shown), highlight=False)
