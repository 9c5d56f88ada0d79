"""Indexes for large namespaces, built in the background: searches never wait for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection, sql
from psycopg.errors import Error, InsufficientPrivilege
from psycopg.rows import DictRow, dict_row

from core.database import literal
from core.process import Process, current_process
from core.tenants import Connection
from memory.store_models import Served, served_model, vector_by
from memory.store_scopes import (
    COMMON_SHARE,
    LARGEST_INDEXED,
    LEAST_COMMON,
    SCOPE_OF_USER,
    inside_scope,
    made_by,
)

MOST_SCOPES: Final = 50
"""Namespaces of one database that have indexes: each costs every statement a look at its condition."""
_LOCK: Final = 0x626F72696E6773
"""The word `borings`, as a number that other users of the same database are unlikely to choose."""
_RETRY_S: Final = 0.2
_TRY: LiteralString = "select pg_try_advisory_lock(%s) as held"
_COUNT = sql.SQL("""
select count(*) as rows from (select from boring.memory_item where {inside} limit {most}) as each
""")
_KNOWN: LiteralString = """
select id from boring.memory_scope where tenant = %(tenant)s and path = %(path)s
"""
_REGISTER: LiteralString = """
insert into boring.memory_scope (tenant, path) select %(tenant)s, %(path)s
where (select count(*) from pg_class where relname ~ '^memory_words_[0-9]+$' and relkind = 'i') < %(most)s
returning id
"""
_INDEXES: LiteralString = """
select relname as name, indisvalid as valid from pg_index join pg_class on pg_class.oid = indexrelid
where relnamespace = 'boring'::regnamespace and relname ~ %s
"""
_BY_MEANING = sql.SQL("""
create index concurrently {name} on boring.memory_item
using hnsw (({vector}::halfvec({dimensions})) halfvec_cosine_ops) where {inside}
""")
_BY_WORDS = sql.SQL("""
create index concurrently {name} on boring.memory_words
using gin (words) where tenant = {tenant} and scope = {id}
""")
_FILL = sql.SQL("""
insert into boring.memory_words (scope, item, tenant, word_count, words)
select {id}, id, tenant, word_count, words from boring.memory_item where {inside} and word_count > 0
on conflict do nothing
""")
_COMMON = sql.SQL("""
with mine as materialized (
    select words, word_count from boring.memory_item where {inside} and word_count > 0
), corpus as (select count(*) as rows, coalesce(avg(word_count), 1) as length from mine),
frequent as (
    select lexeme, count(*) as n from mine, unnest(words)
    group by lexeme having count(*) > greatest({least}, (select rows from corpus) / {share})
), rarer as (
    delete from boring.memory_word_count
    where scope = {id} and word not in (select md5(lexeme) from frequent)
), common as (
    insert into boring.memory_word_count (scope, tenant, word, items)
    select {id}, {tenant}, md5(lexeme), n from frequent
    on conflict (scope, word) do update set items = excluded.items
)
update boring.memory_scope set counted_at = now(), has_words = true, word_rows = corpus.rows,
    word_length = corpus.length
from corpus where id = {id}
""")
_OF_USER: LiteralString = "select id from boring.memory_scope where " + SCOPE_OF_USER  # noqa: S608 - constants
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Namespace:
    """What gets indexes: the items of a tenant whose paths begin with `path`."""

    tenant: str
    path: str


async def index_namespace(tenant: str, prefix: tuple[str, ...] = ()) -> bool:
    """Bring the indexes of a namespace to what its size asks for; return whether it has them now.

    More memories than `memory_exact_rows` get them, fewer than half as many lose them. What an interrupted
    build left is replaced. Callers at the same moment, in any process, wait for the first. Searches and
    writers go on meanwhile.

    Raises:
        DatabaseError: the database can't be used.
        psycopg.Error: it refuses; its user has to own the table.
    """
    path = "".join(f"{label}." for label in prefix)
    process = await current_process()
    async with _alone(process) as connection:
        await connection.execute("select set_config('boring.tenant', %s, false)", (tenant,))
        return await _brought(connection, _Namespace(tenant, path), process.settings.memory_exact_rows)


async def index_tenant(tenant: str, following: Served | None = None) -> None:
    """Bring the indexes that a tenant has up to date.

    Args:
        tenant: whose.
        following: vectors that will be searched soon; they get indexes beside those that are searched.

    Raises:
        DatabaseError: the database can't be used.
        psycopg.Error: it refuses; its user has to own the table.
    """
    process = await current_process()
    async with _alone(process) as connection:
        await connection.execute("select set_config('boring.tenant', %s, false)", (tenant,))
        known = "select path from boring.memory_scope where tenant = %s"
        for row in await (await connection.execute(known, (tenant,))).fetchall():
            space = _Namespace(tenant, row["path"])
            await _brought(connection, space, process.settings.memory_exact_rows, following=following)


@asynccontextmanager
async def without_indexes_of(tenant: str, user: str, place: str) -> AsyncGenerator[None]:
    """Drop the indexes whose conditions name a user's namespaces, and let none be built until the end.

    Args:
        tenant: whose user.
        user: whose memories alone are in these namespaces.
        place: what the paths of the user's own namespaces begin with.

    Raises:
        DatabaseError: the database can't be used.
        psycopg.Error: it refuses; its user has to own the table.
    """
    async with _alone(await current_process()) as connection:
        await connection.execute("select set_config('boring.tenant', %s, false)", (tenant,))
        values = {"tenant": tenant, "user": user, "place": place}
        for row in await (await connection.execute(_OF_USER, values)).fetchall():
            await _drop_indexes(connection, row["id"])
        yield


async def begin_indexing(connection: Connection, prefix: tuple[str, ...]) -> None:
    """Begin to bring the indexes of a namespace of the connection's tenant up to date, in the background."""
    row = await (await connection.execute("select current_setting('boring.tenant') as tenant")).fetchone()
    if row is not None:
        process = await current_process()
        name = f"indexes {row['tenant']} {'.'.join(prefix)}"
        process.begin(name, lambda: _indexing(process, name, row["tenant"], prefix))


@asynccontextmanager
async def _indexing(
    process: Process, name: str, tenant: str, prefix: tuple[str, ...]
) -> AsyncGenerator[object]:
    finished = object()
    try:
        has_indexes = await index_namespace(tenant, prefix)
    except InsufficientPrivilege as error:
        _log.warning("%s can't be built, so searches look at every memory: %s", name, error)
    except Error as error:
        _log.warning("%s were not built and will be tried again: %s", name, error)
        raise
    else:
        if has_indexes:
            asyncio.get_running_loop().call_soon(process.forget, finished)
    yield finished


@asynccontextmanager
async def _alone(process: Process) -> AsyncGenerator[AsyncConnection[DictRow]]:
    """Hold the right to build, on a connection of its own, by trying again until it is free.

    A session that sleeps in `pg_advisory_lock` has an open snapshot, for which a build would wait.
    """
    url = (await process.database()).url
    connect: Any = AsyncConnection[DictRow].connect
    async with await connect(url, autocommit=True, row_factory=dict_row) as connection:
        while True:
            row = await (await connection.execute(_TRY, (_LOCK,))).fetchone()
            if row["held"]:
                break
            await asyncio.sleep(_RETRY_S)
        yield connection


async def _brought(
    connection: AsyncConnection[DictRow],
    space: _Namespace,
    exact_rows: int,
    *,
    following: Served | None = None,
) -> bool:
    inside = inside_scope(space.tenant, space.path)
    counting = _COUNT.format(inside=inside, most=sql.Literal(exact_rows + 1))
    row = await (await connection.execute(counting, {})).fetchone()
    rows = 0 if row is None else row["rows"]
    values = {"tenant": space.tenant, "path": space.path}
    row = await (await connection.execute(_KNOWN, values)).fetchone()
    if rows <= exact_rows and (row is None or rows < exact_rows // 2):
        if row is not None:
            await _drop(connection, row["id"])
        return False
    served = await served_model(connection)
    if served is None or served.dimensions > LARGEST_INDEXED:
        return False
    if row is None:
        row = await (await connection.execute(_REGISTER, {**values, "most": MOST_SCOPES})).fetchone()
    if row is None:
        _log.warning("%d namespaces have indexes; %r is searched without", MOST_SCOPES, space.path)
        return False
    wanted = [served] if following is None or following == served else [served, following]
    await _build_by_meaning(connection, row["id"], space, wanted)
    await _build_by_words(connection, row["id"], space)
    return True


async def _build_by_meaning(
    connection: AsyncConnection[DictRow], scope: int, space: _Namespace, wanted: list[Served]
) -> None:
    """Build the indexes over vectors that are missing, and drop those over others."""
    names: set[str] = set()
    for vectors in wanted:
        name = f"memory_scope_{scope}_{made_by(vectors.model, vectors.dimensions)}"
        names.add(name)
        statement = _BY_MEANING.format(
            name=sql.Identifier(name),
            vector=vector_by(vectors.model, vectors.dimensions),
            dimensions=sql.Literal(vectors.dimensions),
            inside=inside_scope(space.tenant, space.path),
        )
        await _ensure(connection, name, statement)
    for row in await _indexes(connection, f"^memory_scope_{scope}_"):
        if row["name"] not in names:
            await _drop_index(connection, row["name"])


async def _build_by_words(connection: AsyncConnection[DictRow], scope: int, space: _Namespace) -> None:
    """Build the index over words, and count them.

    The other index was built before, which waited for every writer that did not know of the scope yet.
    """
    number, inside = sql.Literal(scope), inside_scope(space.tenant, space.path)
    await connection.execute(_FILL.format(id=number, inside=inside), {})
    name = f"memory_words_{scope}"
    statement = _BY_WORDS.format(name=sql.Identifier(name), tenant=literal(space.tenant), id=number)
    await _ensure(connection, name, statement)
    least, share = sql.Literal(LEAST_COMMON), sql.Literal(COMMON_SHARE)
    counted = _COMMON.format(id=number, tenant=literal(space.tenant), inside=inside, least=least, share=share)
    await connection.execute(counted, {})
    await connection.execute("analyze boring.memory_words")


async def _ensure(connection: AsyncConnection[DictRow], name: str, statement: sql.Composed) -> None:
    rows = await _indexes(connection, f"^{name}$")
    if rows and not rows[0]["valid"]:
        await _drop_index(connection, name)
    if not rows or not rows[0]["valid"]:
        await connection.execute(statement, {})


async def _indexes(connection: AsyncConnection[DictRow], pattern: str) -> list[DictRow]:
    return await (await connection.execute(_INDEXES, (pattern,))).fetchall()


async def _drop(connection: AsyncConnection[DictRow], scope: int) -> None:
    await _drop_indexes(connection, scope)
    async with connection.transaction():  # writers hold words, and then want the scope: the other way round
        await connection.execute("lock table boring.memory_words in share row exclusive mode")
        await connection.execute("delete from boring.memory_scope where id = %s", (scope,))


async def _drop_indexes(connection: AsyncConnection[DictRow], scope: int) -> None:
    for row in await _indexes(connection, f"^memory_(scope_{scope}_.*|words_{scope})$"):
        await _drop_index(connection, row["name"])


async def _drop_index(connection: AsyncConnection[DictRow], name: str) -> None:
    await connection.execute(
        sql.SQL("drop index concurrently if exists {}").format(sql.Identifier("boring", name))
    )
