"""A thread belongs to the tenant that began it: no other one goes on with the conversation."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, LiteralString
from weakref import WeakKeyDictionary

from core.errors import InputError
from core.process import Process, current_process

_OTHERS: LiteralString = """
select from (
    select coalesce(context ->> 'tenant', 'local') as tenant from boring.run where thread_id = %(thread_id)s
    union all select tenant from boring.thread_copy where thread_id = %(thread_id)s
) as known
where tenant <> %(tenant)s limit 1
"""
_MOST_KNOWN: Final = 10_000
_known: WeakKeyDictionary[Process, OrderedDict[tuple[str, str], None]] = WeakKeyDictionary()
"""Tenants that were let to threads, the one let in longest ago first."""


async def check_tenant(thread_id: str, tenant: str) -> None:
    """Let a tenant go on with a thread; a process asks the database once for each.

    Raises:
        InputError: another tenant has begun it.
    """
    process = await current_process()
    known = _known.setdefault(process, OrderedDict())
    if (thread_id, tenant) in known:
        return
    values = {"thread_id": thread_id, "tenant": tenant}
    async with (await process.database()).pool.connection() as connection:
        is_of_others = (await connection.execute(_OTHERS, values)).rowcount > 0
    if is_of_others:
        raise InputError(
            f"Thread {thread_id!r} is another tenant's: {tenant!r} can't go on with it. Name another"
            " thread_id, or call with the context of the tenant that began it."
        )
    known[thread_id, tenant] = None
    if len(known) > _MOST_KNOWN:
        known.popitem(last=False)
