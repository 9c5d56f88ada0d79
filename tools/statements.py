"""Which statements a query may consist of, by DuckDB's own parser: exactly one that only reads."""

import json
from typing import TYPE_CHECKING, Any

from core.errors import ToolError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_READING_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_BY_TEXT = {"query", "query_table"}
_ONLY = "Only one SELECT statement can be run, with FROM, WITH, JOIN, GROUP BY and the like."


def tables_read(connection: "DuckDBPyConnection", sql: str) -> set[str]:
    """Return the names after FROM and JOIN in a statement that only reads, in small letters.

    Raises:
        ToolError: it is no SQL, several statements, or one that could change something.
    """
    from duckdb import ParserException, StatementType  # noqa: PLC0415 - in the query's own process only

    try:
        statements = connection.extract_statements(sql)
    except ParserException as error:
        raise ToolError(f"{error}\n{_ONLY}") from error
    if len(statements) != 1:
        raise ToolError(f"There are {len(statements)} statements in it. {_ONLY}")
    if statements[0].type != StatementType.SELECT:
        raise ToolError(f"{statements[0].type.name} is not allowed. {_ONLY}")
    row = connection.execute("select json_serialize_sql(?)", [sql]).fetchone()
    tree: dict[str, Any] = json.loads(row[0]) if row else {"error": True}
    if tree["error"]:
        raise ToolError(f"It can't be checked. {_ONLY}")
    found: set[str] = set()
    _walk(tree["statements"], found)
    return found


def _walk(part: Any, found: set[str]) -> None:
    if isinstance(part, list):
        for item in part:
            _walk(item, found)
    if not isinstance(part, dict):
        return
    kind = part.get("type")
    if isinstance(kind, str) and kind.endswith("_NODE") and kind not in _READING_NODES:
        raise ToolError(f"{kind.split('_')[0]} is not allowed within a query. {_ONLY}")
    if kind == "TABLE_FUNCTION":
        _check_function(part.get("function"))
    if kind == "BASE_TABLE":
        found.add(str(part.get("table_name", "")).lower())
    for item in part.values():
        _walk(item, found)


def _check_function(call: Any) -> None:
    """Refuse functions that read a table by a name in a text: which one it is can't be told beforehand."""
    name = str(call.get("function_name", "")).lower() if isinstance(call, dict) else ""
    if name in _BY_TEXT:
        raise ToolError(f"{name}() is not allowed: name the table itself after FROM or JOIN.")
