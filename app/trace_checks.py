"""What `boring doctor` says of traces: where spans go, whether the places take them, and what was lost."""

from datetime import timedelta

import httpx

from app.check import Check
from core.addresses import shown_address
from core.database import opened_database
from core.errors import BoringError
from core.settings import Settings
from core.trust import system_trust
from observability.destinations import Destination, destinations
from observability.outlet_counts import OutletFigures, outlet_figures

_TIMEOUT_S = 5.0
_LOOKED_BACK = timedelta(days=7)
_REFUSED = frozenset({401, 403})
_MISSING = 404


async def check_traces(settings: Settings) -> Check:
    """Send an empty batch to each place for traces, to see whether it takes one, and tell what was lost."""
    try:
        places = destinations(settings)
        async with opened_database(settings) as database:
            counted = await outlet_figures(database, since=_LOOKED_BACK)
    except BoringError as error:
        return Check("traces", "fails", "can't be sent", str(error))
    problems = [problem for place in places if (problem := await _problem(place))]
    names = ", ".join(["the database", *(f"{place.name} ({shown_address(place.url)})" for place in places)])
    lost = [_told(one) for one in counted if one.dropped]
    found = "; ".join([f"spans go to {names}", *lost])
    if problems:
        return Check("traces", "fails", found, " ".join(problems))
    return Check("traces", "ok", found)


def _told(one: OutletFigures) -> str:
    return f"in 7 days {one.dropped} spans for {one.name} were given up, the last ones because: {one.problem}"


async def _problem(place: Destination) -> str:
    """Return what is wrong with a place and what to do; empty if nothing is."""
    shown = shown_address(place.url)
    headers = {**place.headers, "content-type": "application/x-protobuf"}
    try:
        async with httpx.AsyncClient(verify=system_trust(), timeout=_TIMEOUT_S) as client:
            reply = await client.post(place.url, content=b"", headers=headers)
    except httpx.HTTPError as error:
        return f"{shown} can't be reached ({type(error).__name__}): start it, or correct its address."
    if reply.status_code in _REFUSED:
        return f"{place.name} refuses the key: correct it in the settings."
    if reply.status_code == _MISSING:
        return f"{shown} does not exist: correct the address of {place.name}."
    return ""
