"""Which namespaces hold something."""

from __future__ import annotations

from typing import Any

from langgraph.store.base import ListNamespacesOp, MatchCondition
from psycopg import sql

from core.tenants import Connection

_LIST = sql.SQL("""
select distinct namespace[1:%(depth)s] collate "C" as namespace from boring.memory_item
where valid_to is null and (expires_at is null or expires_at > now()) and {matches}
order by 1 limit %(limit)s offset %(offset)s
""")
_DEEPEST = 2**31 - 1


async def namespaces(connection: Connection, op: ListNamespacesOp) -> list[tuple[str, ...]]:
    """Return the namespaces that fit all conditions, in order, each cut to the wanted depth."""
    values: dict[str, Any] = {
        "depth": _DEEPEST if op.max_depth is None else op.max_depth,
        "limit": op.limit,
        "offset": op.offset,
    }
    matches: list[sql.Composable] = [sql.SQL("true")]
    for place, condition in enumerate(op.match_conditions or ()):
        matches += _matches(condition, f"path_{place}", values)
    statement = _LIST.format(matches=sql.SQL(" and ").join(matches))
    rows = await (await connection.execute(statement, values)).fetchall()
    return [tuple(row["namespace"]) for row in rows]


def _matches(condition: MatchCondition, name: str, values: dict[str, Any]) -> list[sql.Composable]:
    if condition.match_type not in {"prefix", "suffix"}:
        raise ValueError(f"the match type is {condition.match_type!r}; expected prefix or suffix")
    length = sql.Literal(len(condition.path))
    conditions: list[sql.Composable] = [sql.SQL("cardinality(namespace) >= {}").format(length)]
    for place, label in enumerate(condition.path, start=1):
        if label != "*":
            values[f"{name}_{place}"] = label
            start = (
                sql.Literal(0)
                if condition.match_type == "prefix"
                else sql.SQL("cardinality(namespace) - {}").format(length)
            )
            conditions.append(
                sql.SQL("namespace[{} + {}] = {}").format(
                    start, sql.Literal(place), sql.Placeholder(f"{name}_{place}")
                )
            )
    return conditions
