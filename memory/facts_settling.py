"""How new facts find their place among those that stand: the same, another version, or disputed.

A fact whose words stand already under another subject is that fact, unless it corrects what stands under its
own. What a person said is never superseded by what a document, a page or a tool says: such a fact goes into
the history, disputed, and never holds.
"""

from collections.abc import Sequence
from dataclasses import replace

from psycopg import sql
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from core.tenants import Connection
from memory.items import NewItem
from memory.items_writing import Place, lock_places, write

_CURRENT = """
select id, key, trusted, boring.content_hash(value) as content, boring.content_hash(%(value)s) as new_content
from boring.memory_item
where path = boring.path_of(%(namespace)s) and valid_to is null
    and (expires_at is null or expires_at > now())
    and (key = %(key)s or boring.content_hash(value) = boring.content_hash(%(value)s))
order by boring.content_hash(value) = boring.content_hash(%(value)s) desc, trusted desc, key = %(key)s desc
"""
_DISPUTED = sql.SQL("""
insert into boring.memory_item (id, tenant, user_id, kind, namespace, key, value, text, created_at,
    updated_at, valid_from, valid_to, superseded_by, thread_id, run_id, message_id, trusted)
select gen_random_uuid(), %(tenant)s, %(user)s, %(kind)s, %(namespace)s, %(key)s, %(value)s, %(text)s,
    moment, moment, moment, moment, %(against)s, %(thread_id)s, %(run_id)s, %(message_id)s, false
from (select clock_timestamp() as moment) as clock
where not exists (
    select from boring.memory_item where path = boring.path_of(%(namespace)s) and key = %(key)s
        and not trusted and superseded_by = %(against)s and valid_from = valid_to
        and boring.content_hash(value) = boring.content_hash(%(value)s))
""")


async def settle(
    connection: Connection, tenant: str, items: Sequence[NewItem], *, elsewhere: bool = True
) -> list[NewItem]:
    """Remember facts, and return those that hold now and did not before.

    Of facts of one subject the last one counts. Those who settle facts of the same user wait for one another.

    Args:
        connection: from `as_tenant`.
        tenant: the same one; also the one of the items' origins.
        items: facts of users, each under its subject.
        elsewhere: the same words under another subject count as the same fact.
    """
    await lock_places(connection, tenant, [(item.namespace, "") for item in items])
    placed: dict[Place, NewItem] = {}
    said_again: set[Place] = set()
    for item in items:
        rows = await (await connection.execute(_CURRENT, _values(item))).fetchall()
        one = await _placed(connection, item, rows, elsewhere=elsewhere)
        if one is not None:
            place = one.namespace, one.key
            placed[place] = one
            if any(row["key"] == one.key and _is_same(row, one) for row in rows):
                said_again.add(place)
    await write(connection, tenant, items=list(placed.values()))
    return [one for place, one in placed.items() if place not in said_again]


def _is_same(row: DictRow, item: NewItem) -> bool:
    return row["content"] == row["new_content"] and row["trusted"] == item.origin.trusted


async def _placed(
    connection: Connection, item: NewItem, rows: Sequence[DictRow], *, elsewhere: bool
) -> NewItem | None:
    """Return the fact as it is to be written; None where it stands already, or is disputed.

    Args:
        connection: from `as_tenant`.
        item: the fact.
        rows: what now stands under its subject, or has its words.
        elsewhere: see `settle`.
    """
    stands = next((row for row in rows if row["key"] == item.key), None)
    same = [row for row in rows if row["content"] == row["new_content"]]
    if stands is None and elsewhere and same:
        if same[0]["trusted"] or not item.origin.trusted:
            return None
        return replace(item, key=same[0]["key"], value={**item.value, "subject": same[0]["key"]})
    if stands is not None and stands["trusted"] and not item.origin.trusted:
        if stands not in same:
            await connection.execute(_DISPUTED, {**_values(item), "against": stands["id"]})
        return None
    return item


def _values(item: NewItem) -> dict[str, object]:
    origin = item.origin
    return {
        "tenant": origin.tenant,
        "user": origin.user,
        "kind": item.kind,
        "namespace": list(item.namespace),
        "key": item.key,
        "value": Jsonb(item.value),
        "text": item.text,
        "thread_id": origin.thread_id,
        "run_id": origin.run_id,
        "message_id": origin.message_id,
    }
