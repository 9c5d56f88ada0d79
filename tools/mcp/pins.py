"""Which tools of which MCP servers were accepted, each as it was described at that moment."""

import difflib
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from psycopg.types.json import Jsonb

from core.database import Database
from core.text import storable, visible

Description = Mapping[str, Any]
"""What a server says of a tool: its name, description, schemas and annotations."""
Standing = Literal["accepted", "changed", "new", "gone"]


def digest(description: Description) -> str:
    """Return the SHA-256 of a description in canonical JSON, as 64 hexadecimal digits."""
    text = json.dumps(description, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


async def standings(
    database: Database, server: str, listed: Mapping[str, Description], *, trust_first_use: bool
) -> dict[str, Standing]:
    """Return how each tool that a server lists or had accepted stands.

    Args:
        database: where accepted descriptions are kept.
        server: its name in the settings.
        listed: what the server lists now, by the tool's name.
        trust_first_use: whether all tools of a server without any accepted one are accepted as they are.
    """
    if trust_first_use:
        await _accept_first(database, server, listed)
    query = "select tool, description_hash from boring.mcp_tool where server = %s"
    async with database.pool.connection() as connection:
        rows = await (await connection.execute(query, (server,))).fetchall()
    pinned = {row["tool"]: row["description_hash"] for row in rows}
    found: dict[str, Standing] = dict.fromkeys(pinned, "gone")
    for name, description in listed.items():
        known = pinned.get(_key(name))
        found[name] = "new" if known is None else "accepted" if known == digest(description) else "changed"
    return found


async def accept(database: Database, server: str, accepted: Mapping[str, Description]) -> None:
    """Accept tools as they are described."""
    async with database.pool.connection() as connection, connection.transaction():
        for name, description in accepted.items():
            await connection.execute(
                "insert into boring.mcp_tool (server, tool, description_hash, description) "
                "values (%s, %s, %s, %s) on conflict (server, tool) do update set description_hash = "
                "excluded.description_hash, description = excluded.description, accepted_at = now()",
                (server, _key(name), digest(description), Jsonb(storable(dict(description)))),
            )


async def accepted_description(database: Database, server: str, tool: str) -> Description | None:
    """Return the tool's description as it was accepted, or None."""
    query = "select description from boring.mcp_tool where server = %s and tool = %s"
    async with database.pool.connection() as connection:
        row = await (await connection.execute(query, (server, _key(tool)))).fetchone()
    return None if row is None else row["description"]


def difference(before: Description | None, now: Description) -> str:
    """Return what changed between two descriptions, line by line; what can't be seen is shown by its code."""
    old, new = ([] if part is None else _lines(part) for part in (before, now))
    return "\n".join(difflib.unified_diff(old, new, "accepted", "now", lineterm="", n=2))


async def _accept_first(database: Database, server: str, listed: Mapping[str, Description]) -> None:
    """Accept all tools of a server of which none is accepted; two processes at once decide one by one."""
    async with database.pool.connection() as connection, connection.transaction():
        await connection.execute(
            "select pg_advisory_xact_lock(hashtext('boring.mcp'), hashtext(%s))", (server,)
        )
        query = "select 1 from boring.mcp_tool where server = %s limit 1"
        if await (await connection.execute(query, (server,))).fetchone() is not None:
            return
        for name, description in listed.items():
            await connection.execute(
                "insert into boring.mcp_tool (server, tool, description_hash, description) "
                "values (%s, %s, %s, %s)",
                (server, _key(name), digest(description), Jsonb(storable(dict(description)))),
            )


def _key(name: str) -> str:
    return str(storable(name))


def _lines(description: Description) -> list[str]:
    """Return a description as lines of text; those of its words stay lines."""
    text = json.dumps(description, sort_keys=True, indent=2, ensure_ascii=False)
    return visible(text.replace("\\n", "\n      ")).splitlines()
