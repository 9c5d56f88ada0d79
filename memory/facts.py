"""What is known about a user: remembered by subject, superseded and never overwritten, forgotten wholly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from langgraph.store.base import SearchOp
from psycopg import sql
from psycopg.rows import DictRow

from core.process import current_process
from core.tenants import Connection, as_tenant
from core.text import storable_text
from memory.facts_settling import settle
from memory.items import (
    COLUMNS,
    MAX_TTL_MINUTES,
    Kind,
    Memory,
    NewItem,
    Origin,
    check_names,
    current_origin,
    memory_of,
)
from memory.items_writing import write
from memory.store_models import Asked, answered, embedded_for, unless_overtaken
from memory.store_search import found_alone
from memory.store_text import asked_text, searchable
from memory.store_uses import uses

_USERS = "users"
"""The label below which each user has a namespace."""
_HISTORY = sql.SQL("""
select {columns} from boring.memory_item
where path = boring.path_of(%s) and key = %s order by valid_from, valid_to nulls last
""").format(columns=COLUMNS)


_STANDING = sql.SQL("""
select {columns} from boring.memory_item where path = boring.path_of(%s) and key = %s
order by valid_to is not null, valid_from desc limit 1
""").format(columns=COLUMNS)


async def remember(
    text: str,
    *,
    subject: str,
    kind: Kind = "fact",
    ttl_minutes: float | None = None,
    origin: Origin | None = None,
) -> Memory:
    """Remember something about the user, in place of what was known about the same subject.

    What was known stays in the history. Saying the same again makes no new version.

    Args:
        text: what to remember.
        subject: what it is about, such as `favourite drink`; capitals and spacing make no difference.
        kind: a fact, an episode (something that happened) or a summary.
        ttl_minutes: how long it is kept after it was last found or said; None keeps it.
        origin: for whom, and where it came from; unset, the run that calls, and outside of a run the default
            user, and not trusted. What is not trusted supersedes nothing that is: it goes into the history,
            disputed.

    Returns:
        The version that holds now.

    Raises:
        ValueError: the text or the subject is empty, the subject or the user's name is too long, or
            `ttl_minutes` is no number from 0 to `MAX_TTL_MINUTES`.
        ConfigurationError: the embedding model or the database can't be used.
    """
    _check_said(text, ttl_minutes)
    whose = origin or current_origin()
    database = await (await current_process()).database()

    async def settled() -> Memory:
        item = await fact_item(text, subject, kind=kind, ttl_minutes=ttl_minutes, origin=whose)
        async with as_tenant(database, whose.tenant) as connection:
            await settle(connection, whose.tenant, [item], elsewhere=False)
            return await _standing(connection, item)

    return await unless_overtaken(settled)


def _check_said(text: str, ttl_minutes: float | None) -> None:
    if not text.strip():
        raise ValueError("the text is empty; expected something to remember")
    if ttl_minutes is not None and not 0 <= ttl_minutes <= MAX_TTL_MINUTES:
        raise ValueError(f"ttl_minutes is {ttl_minutes!r}; expected a number, 0 to {MAX_TTL_MINUTES:,}")


async def recall(
    question: str, *, limit: int = 5, kind: Kind | None = None, origin: Origin | None = None
) -> list[Memory]:
    """Return what is known about the user and fits a question best, with its origin, the best first.

    Raises:
        ValueError: the question is empty or the limit negative.
        ConfigurationError: memories were embedded by another model, or the database can't be used.
    """
    if not question.strip() or limit < 0:
        raise ValueError(f"the question is {question!r} and the limit {limit}; expected words, and 0 or more")
    whose = origin or current_origin()
    asked = asked_text(question)
    op = SearchOp(user_namespace(whose.user, kind), limit=limit, query=asked)
    database = await (await current_process()).database()

    async def search(meant: Mapping[str, Asked]) -> list[DictRow]:
        return await found_alone(database, whose.tenant, op, meant[asked])

    memories = [memory_of(row) for row in await answered(whose.tenant, [asked], search)]
    (await uses()).add(whose.tenant, [memory.id for memory in memories])
    return memories


async def history(subject: str, *, kind: Kind = "fact", origin: Origin | None = None) -> list[Memory]:
    """Return every version of what was known about a subject, the oldest first."""
    whose = origin or current_origin()
    database = await (await current_process()).database()
    async with as_tenant(database, whose.tenant) as connection:
        return await _versions(connection, user_namespace(whose.user, kind), subject_key(subject))


async def forget(subject: str, *, kind: Kind = "fact", origin: Origin | None = None) -> int:
    """Delete every version of what was known about a subject; return how many there were."""
    whose = origin or current_origin()
    place, key = user_namespace(whose.user, kind), subject_key(subject)
    database = await (await current_process()).database()
    async with as_tenant(database, whose.tenant) as connection:
        versions = await _versions(connection, place, key)
        await write(connection, whose.tenant, gone=[(place, key)])
        return len(versions)


def user_namespace(user: str, kind: Kind | None = None) -> tuple[str, ...]:
    """Return where a user's memories stand; a label holds no period, so those of a name are escaped."""
    label = user.replace("%", "%25").replace(".", "%2E")
    return (_USERS, label) if kind is None else (_USERS, label, kind)


def owner_of(namespace: Sequence[str]) -> str | None:
    """Return the user below whose namespace this one is; None where that is no user's."""
    if tuple(namespace[:1]) != (_USERS,) or not namespace[1:]:
        return None
    return namespace[1].replace("%2E", ".").replace("%25", "%")


def subject_key(subject: str) -> str:
    """Return the key of a subject.

    Raises:
        ValueError: it is empty.
    """
    key = " ".join(storable_text(subject).casefold().split())
    if not key:
        raise ValueError("the subject is empty; expected what the memory is about")
    return key


async def fact_item(
    text: str, subject: str, *, kind: Kind = "fact", ttl_minutes: float | None = None, origin: Origin
) -> NewItem:
    """Return a fact as it is to be written: under its subject, found by its words and their meaning.

    Raises:
        ValueError: the subject is empty, or it or the user's name is too long.
        ConfigurationError: the embedding model can't be used.
    """
    value = {"subject": storable_text(subject.strip()), "text": storable_text(text)}
    namespace, key = user_namespace(origin.user, kind), subject_key(subject)
    check_names(origin, namespace, key)
    found_by = searchable({"text": f"{value['subject']}: {value['text']}"}, ["text"])
    made = await embedded_for(origin.tenant, [found_by] if found_by else [])
    return NewItem(
        namespace=namespace,
        key=key,
        value=value,
        text=found_by,
        embedding=made.vectors[0],
        model=made.model,
        kind=kind,
        ttl_minutes=ttl_minutes,
        origin=origin,
        other_embedding=made.others[0] if made.others else None,
        other_model=made.other_model,
    )


async def _standing(connection: Connection, item: NewItem) -> Memory:
    rows = await (await connection.execute(_STANDING, (list(item.namespace), item.key))).fetchall()
    return memory_of(rows[0])


async def _versions(connection: Connection, place: tuple[str, ...], key: str) -> list[Memory]:
    rows = await (await connection.execute(_HISTORY, (list(place), key))).fetchall()
    return [memory_of(row) for row in rows]
