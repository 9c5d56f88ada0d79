"""The tool that knows the time."""

from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field

from core.errors import ToolError
from core.protocols import Example
from tools.contract import Tool, contract


async def current_time(
    timezone: Annotated[
        str, Field(max_length=40, description="IANA name, such as UTC or Europe/Berlin")
    ] = "UTC",
) -> str:
    """Tell today's date, the weekday and the time in a time zone."""
    try:
        zone = UTC if timezone.upper() == "UTC" else ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ToolError(
            f"There is no time zone {timezone!r}. Use an IANA name, such as UTC, Europe/Berlin, Asia/Tokyo."
        ) from error
    now = datetime.now(zone)
    return now.strftime("%A, %Y-%m-%d %H:%M:%S %Z (UTC%z)")


def clock() -> Tool:
    """Return the tool `current_time`."""
    return contract(
        current_time,
        effect="read",
        timeout_s=5,
        examples=(
            Example("What time is it in Tokyo?", {"timezone": "Asia/Tokyo"}),
            Example("Which day is today?", {"timezone": "UTC"}),
        ),
    )
