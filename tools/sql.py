"""The tools that query CSV, Parquet and JSON files by SQL, each query in a process of its own."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field

from core.errors import ConfigurationError, ToolError
from core.protocols import Example
from core.settings import PROJECT_ROOT, settings
from tools.contract import Tool, contract
from tools.query_process import Answer, Request
from tools.text_table import text_table

MAX_ROWS = 100
TIME_S = 20
_CODE = f"import sys; sys.path.insert(0, {str(PROJECT_ROOT)!r}); from tools.query_process import main; main()"
_START_S = 5

Sql = Annotated[str, Field(min_length=1, max_length=8000, description="one SELECT, in the dialect of DuckDB")]


def data_tools(
    *,
    root: Path | None = None,
    max_rows: int = MAX_ROWS,
    memory_mb: int | None = None,
    time_s: int = TIME_S,
    examples: Mapping[str, str] | None = None,
) -> tuple[Tool, Tool]:
    """Return the tools `query_data` and `list_tables`.

    Args:
        root: the one folder whose files are read, each as a table. Unset, `BORING_QUERY_DIR`.
        max_rows: most rows of a result; of further ones a note tells.
        memory_mb: most mebibytes of a query. Unset, `BORING_QUERY_MEMORY_MB`.
        time_s: most seconds of a query; whole ones, since the operating system counts them too.
        examples: questions with the SQL that answers them, for models that plan by schema.

    Raises:
        ConfigurationError: no folder is named.
    """
    found = root or settings().query_dir
    if found is None:
        raise ConfigurationError("query_data needs a folder: set BORING_QUERY_DIR.")
    most_mb = memory_mb or settings().query_memory_mb
    asking = Request(root=str(found.absolute()), sql="", max_rows=max_rows, memory_mb=most_mb, time_s=time_s)

    async def query_data(sql: Sql) -> str:
        """Query the data files by SQL: counts, sums, filters, joins. Each file is a table."""
        return _shown(await _asked({**asking, "sql": sql}), "only the first rows; filter, group or use LIMIT")

    async def list_tables() -> str:
        """List the tables of the data files, with their columns and types."""
        return _shown(await _asked(asking), "more tables left out; query one to see its columns")

    shown = tuple(Example(question, {"sql": sql}) for question, sql in (examples or {}).items())
    reading = partial(contract, effect="read", timeout_s=time_s + _START_S, max_concurrency=2)
    return reading(query_data, rest="Select less.", examples=shown), reading(list_tables)


async def _asked(request: Request) -> Answer:
    """Run a query in its process and return what it answered.

    Raises:
        ToolError: it took too long or too much memory, or the answer says what was wrong.
    """
    # Isolated and without our environment: there is nothing in it to find.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-c", _CODE, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env={}
    )
    try:
        async with asyncio.timeout(request["time_s"]):
            out, _ = await process.communicate(json.dumps(request).encode())
    except TimeoutError as error:
        raise _too_long(request) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == -signal.SIGXCPU:
        raise _too_long(request)
    if process.returncode:
        raise ToolError(
            f"The query ended its process ({process.returncode}): it may need more than "
            f"{request['memory_mb']} MiB. Filter or group more."
        )
    answer: Answer = json.loads(out)
    if said := answer.get("error"):
        raise ToolError(said)
    return answer


def _too_long(request: Request) -> ToolError:
    return ToolError(f"The query took more than {request['time_s']} s. Filter first, or join less.")


def _shown(answer: Answer, note: str) -> str:
    more = answer.get("more", False)
    return text_table(answer.get("columns", []), answer.get("rows", []), note=note if more else "")
