"""`--since`: how far back a command looks."""

import re
from datetime import timedelta
from typing import Annotated

import typer

_SINCE = re.compile(r"(?P<number>[0-9]{1,6})(?P<unit>[smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST = timedelta(days=36_500)


def time_span(text: str) -> timedelta:
    """Return the length of time that a text such as `90s`, `30m`, `1h`, `7d` or `2w` names.

    Raises:
        BadParameter: it names none, or one of more than 100 years.
    """
    found = _SINCE.fullmatch(text)
    span = timedelta(**{_UNITS[found["unit"]]: int(found["number"])}) if found else timedelta()
    if not timedelta() < span <= _LONGEST:
        raise typer.BadParameter(f"{text!r} is no length of time. Give one such as 90s, 30m, 1h, 7d or 2w.")
    return span


SinceOption = Annotated[
    timedelta | None,
    typer.Option(
        "--since", parser=time_span, metavar="TIME", help="How far back to look: 90s, 30m, 1h, 7d or 2w."
    ),
]
