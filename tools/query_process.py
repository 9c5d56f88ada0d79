"""The process that runs one query over files and ends: what limits memory and time of a query for certain.

Within DuckDB, a single function call heeds neither the memory limit nor an interruption. Here the operating
system does. The process has an empty environment, can write no file, and is killed by its parent.

Reads a `Request` as JSON from its standard input and writes an `Answer` as JSON.
"""

import json
import os
import re
import resource
import stat
import sys
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from typing_extensions import TypedDict

from core.errors import ToolError
from tools.statements import tables_read

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

READERS = {
    ".csv": "read_csv",
    ".tsv": "read_csv",
    ".parquet": "read_parquet",
    ".json": "read_json",
    ".jsonl": "read_json",
    ".ndjson": "read_json",
}
MAX_TABLES = 1000
MAX_DESCRIBED = 30
MAX_CELL_CHARS = 300
_HEADROOM_MB = 512
"""What Python and DuckDB take before the first row is read."""
_MEBI = 1024 * 1024


class Request(TypedDict):
    """A query. `sql` empty: describe the tables."""

    root: str
    sql: str
    max_rows: int
    memory_mb: int
    time_s: int


class Answer(TypedDict, total=False):
    """Rows as text, or what was wrong."""

    columns: list[str]
    rows: list[list[str]]
    more: bool
    error: str


def main() -> None:
    """Answer one request."""
    request: Request = json.load(sys.stdin)
    _confine(request)
    try:
        answer = _answered(request)
    except ToolError as error:
        answer = Answer(error=str(error).replace(f"{request['root'].rstrip('/')}/", ""))
    except MemoryError:
        answer = Answer(error="The query needs more memory than it may have. Filter or group more.")
    json.dump(answer, sys.stdout)


def _confine(request: Request) -> None:
    most = (request["memory_mb"] + _HEADROOM_MB) * _MEBI
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (request["time_s"], request["time_s"] + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _answered(request: Request) -> Answer:
    import duckdb  # noqa: PLC0415 - within the limits that were set

    files = tables_of(request["root"])
    connection = _opened(request["memory_mb"])
    wanted = set(files) if not request["sql"] else tables_read(connection, request["sql"])
    if not request["sql"]:
        wanted = set(sorted(files)[:MAX_DESCRIBED])
    used = {name: path for name, path in files.items() if name in wanted}
    _lock(connection, used)
    if not request["sql"]:
        return _described(connection, files, used)
    try:
        found = connection.execute(request["sql"])
        rows = found.fetchmany(request["max_rows"] + 1)
    except duckdb.CatalogException as error:
        said = re.sub(r"\nDid you mean .*", "", str(error))  # it would guess its own catalog's
        raise ToolError(f"{said}\nThe tables are: {_names(files)}.") from error
    except duckdb.OutOfMemoryException as error:
        raise MemoryError from error
    except duckdb.Error as error:
        columns = "\n".join(f"{name}: {_columns(connection, name)}" for name in used)
        raise ToolError(f"{error}\n{columns}".rstrip()) from error
    return Answer(
        columns=[f"{name} ({kind})" for name, kind, *_ in found.description or []],
        rows=[[_cell(value) for value in row] for row in rows[: request["max_rows"]]],
        more=len(rows) > request["max_rows"],
    )


def tables_of(root: str) -> dict[str, str]:
    """Return the files below a folder that can be queried, by the names of their tables.

    A file's table is named after its path: `2026/sales-eu.csv` is `2026_sales_eu`. Where two would have the
    same name, both have their ending at the end. Links, hidden files and names with `*`, `?` or `[` are left
    out.

    Raises:
        ToolError: the folder is gone.
    """
    paths: dict[str, list[PurePosixPath]] = {}
    try:
        top = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ToolError(
            f"The folder of the data can't be opened: {error.strerror}. Tell the operator."
        ) from error
    for where, below, names, folder in os.fwalk(".", dir_fd=top, follow_symlinks=False):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            path = PurePosixPath(where, name)
            if path.suffix.lower() in READERS and _is_plain(name, folder):
                paths.setdefault(_table(str(path.with_suffix(""))), []).append(path)
    os.close(top)
    named = {
        name if len(same) == 1 else _table(str(path)): str(PurePosixPath(root) / path)
        for name, same in paths.items()
        for path in same
    }
    return dict(list(named.items())[:MAX_TABLES])


def _is_plain(name: str, folder: int) -> bool:
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    odd = set(name) & set("*?[]{}") or name.startswith(".") or not name.isprintable()
    return not odd and stat.S_ISREG(status.st_mode)


def _table(path: str) -> str:
    return "".join(char if char.isalnum() else "_" for char in path.lower())


def _opened(memory_mb: int) -> "DuckDBPyConnection":
    import duckdb  # noqa: PLC0415 - as above

    return duckdb.connect(
        ":memory:",
        config={
            "threads": 1,
            "memory_limit": f"{memory_mb}MiB",
            "temp_directory": "",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "python_enable_replacements": False,
        },
    )


def _lock(connection: "DuckDBPyConnection", used: dict[str, str]) -> None:
    """Make views of the files, and let the query reach nothing but these files."""
    import duckdb  # noqa: PLC0415 - as above

    paths = ", ".join(map(_quoted, used.values()))
    connection.execute("set enable_progress_bar = false")
    connection.execute(f"set allowed_paths = [{paths}]")
    connection.execute("set enable_external_access = false")
    for name, path in used.items():
        reader = READERS[PurePosixPath(path).suffix.lower()]
        try:
            connection.execute(
                f'create view "{name}" as from {reader}({_quoted(path)})'
            )  # a name has no quotes
        except duckdb.Error as error:
            raise ToolError(f"The file of the table {name} can't be read: {error}") from error
    connection.execute("set lock_configuration = true")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _described(connection: "DuckDBPyConnection", files: dict[str, str], used: dict[str, str]) -> Answer:
    rows = [[name, _columns(connection, name)] for name in sorted(used)]
    return Answer(columns=["table", "columns"], rows=rows, more=len(files) > len(used))


def _columns(connection: "DuckDBPyConnection", table: str) -> str:
    found = connection.execute(f'describe "{table}"').fetchall()
    return ", ".join(f"{row[0]} {row[1]}" for row in found)


def _names(files: dict[str, str]) -> str:
    return ", ".join(sorted(files)) or "none"


def _cell(value: Any) -> str:
    if value is None:
        return "NULL"
    text = value.hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= MAX_CELL_CHARS else f"{text[:MAX_CELL_CHARS]}..."
