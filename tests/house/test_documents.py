"""The code blocks of the documentation, and how each is run.

A block in `bash`, `sh` or `console` is run by bash in the checkout, one in `python` by Python in an empty
folder; all with a scripted model and a fresh database. Each `boring` and each program runs in a process that
has imported already (`pytest -m slow` starts them from nothing). In `console`, lines that begin with `$ ` are
the commands and the rest is what they print. A comment on the line above a block says otherwise:

    <!-- not run: the reason, for whoever reads the source -->
    <!-- continues -->      what the blocks of this language before it in the file did is done first
"""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evals.scripted_model import Reply, ScriptedModel, ToolCall
from tests.commands import python, startable

ROOT = Path(__file__).resolve().parents[2]
SHELL = ("bash", "sh", "shell", "console")
MOST_SECONDS = 100
LANGUAGES = (*SHELL, "python")

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<code>.*?)^(?P=indent)```[ ]*$", re.DOTALL | re.MULTILINE
)
_MARK = re.compile(r"<!--\s*(?P<mark>not run:|continues)(?P<reason>(?:(?!-->).)*)-->\s*$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        place: `file:line`, for messages.
        language: the word after the fence, empty if there is none.
        code: what to run; for `console`, the commands only.
        reason: why it is not run, or None.
    """

    place: str
    language: str
    code: str
    reason: str | None


def blocks_of(text: str, name: str) -> list[Block]:
    """Return the fenced blocks of a Markdown text."""
    found: list[Block] = []
    before: dict[str, str] = {}
    for fence in _FENCE.finditer(text):
        language = fence["info"].split()[0].lower() if fence["info"].strip() else ""
        mark = _MARK.search(text[: fence.start()])
        code = _undented(fence["code"], len(fence["indent"]))
        if language == "console":
            code = "".join(f"{line[2:]}\n" for line in code.splitlines() if line.startswith(("$ ", "> ")))
        if mark and mark["mark"] == "continues":
            code = before.get(language, "") + code
        reason = mark["reason"].strip() if mark and mark["mark"] == "not run:" else None
        if reason is None:
            before[language] = code
        line = text.count("\n", 0, fence.start()) + 1
        found.append(Block(f"{name}:{line}", language, code, reason))
    return found


def _undented(code: str, columns: int) -> str:
    return "".join(
        line[columns:] if line[:columns].isspace() else line for line in code.splitlines(keepends=True)
    )


def documented(root: Path) -> list[Block]:
    """Return all blocks of the README, of `docs/` and of the other texts beside the README."""
    texts = sorted([*root.glob("*.md"), *(root / "docs").rglob("*.md")])
    return [block for text in texts for block in blocks_of(text.read_text(), str(text.relative_to(root)))]


BLOCKS = documented(ROOT)
RUN = [block for block in BLOCKS if block.language in LANGUAGES and block.reason is None]
Runner = Callable[[Block, Path, dict[str, str]], Awaitable[tuple[int, str]]]


def willing(request: dict[str, Any]) -> str | Reply:
    """Answer whatever is asked: in words, by a call, or with the least that fits the schema."""
    wanted = request.get("response_format") or {}
    if called := re.search(r"final answer only by calling (\w+)", str(request["messages"][0]["content"])):
        (form,) = [one["function"] for one in request["tools"] if one["function"]["name"] == called[1]]
        schema = form["parameters"]
        return Reply(tool_calls=(ToolCall(form["name"], least(schema, schema.get("$defs", {}))),))
    if wanted.get("type") != "json_schema":
        return "This is a scripted answer."
    schema = wanted["json_schema"]["schema"]
    return json.dumps(least(schema, schema.get("$defs", {})))


def least(schema: dict[str, Any], named: dict[str, Any]) -> Any:
    """Return the least value that fits a JSON schema of the kinds that Pydantic writes."""
    if "$ref" in schema:
        return least(named[schema["$ref"].rpartition("/")[2]], named)
    if "const" in schema or "enum" in schema:
        return schema.get("const", (schema.get("enum") or [None])[0])
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return least(schema[several][-1], named)
    kind = str(schema.get("type"))
    if kind == "object":
        parts: dict[str, Any] = schema.get("properties", {})
        return {key: least(parts[key], named) for key in schema.get("required", parts)}
    if kind == "array":
        return [least(schema["items"], named)] * schema.get("minItems", 0)
    number = schema.get("minimum", 1)
    plain = {"integer": number, "number": number, "boolean": False, "null": None}
    return plain.get(kind, "scripted".ljust(schema.get("minLength", 0), "."))


def environment(folder: Path, model: ScriptedModel, database_url: str) -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "DATABASE_URL": database_url,
        "OPENAI_BASE_URL": model.base_url,
        "OPENAI_API_KEY": model.api_key,
        "BORING_MODEL": "scripted",
        "BORING_EMBEDDING_MODEL": "scripted",
        "BORING_EMBEDDING_BASE_URL": model.base_url,
        "BORING_DATA_DIR": str(folder / "data"),
        "BORING_CACHE_DIR": str(folder / "cache"),
    }


async def run(block: Block, folder: Path, env: dict[str, str]) -> tuple[int, str]:
    """Run a block as whoever copies it does."""
    shell = block.language in SHELL
    command = ["bash", "-euo", "pipefail", "-c"] if shell else [sys.executable, "-X", "dev", "-c"]
    process = await asyncio.create_subprocess_exec(
        *command,
        block.code,
        cwd=ROOT if shell else folder,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    stopper = asyncio.get_running_loop().call_later(MOST_SECONDS, os.killpg, process.pid, signal.SIGKILL)
    output, _ = await process.communicate()
    stopper.cancel()
    return process.returncode or 0, output.decode()


@pytest.fixture
def run_forked(programs: Path) -> Runner:
    """Run a block with commands, or the program that it is, in processes that have imported."""

    async def forked(block: Block, folder: Path, env: dict[str, str]) -> tuple[int, str]:
        if block.language in SHELL:
            return await run(block, folder, {**env, "PATH": f"{programs}:{env['PATH']}"})
        ended = await python(block.code, env=env, cwd=folder)
        return ended.code, ended.out + ended.err

    return forked


@pytest.mark.parametrize("block", RUN, ids=[block.place for block in RUN])
async def test_a_documented_block_runs(
    block: Block, run_forked: Runner, tmp_path: Path, postgres_url: str
) -> None:
    async with ScriptedModel(willing, dimensions=384) as model:
        code, output = await run_forked(block, tmp_path, environment(tmp_path, model, postgres_url))
    assert code == 0, f"{block.place} ended with {code}:\n{output}"


@pytest.mark.slow
@pytest.mark.parametrize("block", RUN, ids=[block.place for block in RUN])
async def test_a_documented_block_runs_from_nothing(block: Block, tmp_path: Path, postgres_url: str) -> None:
    async with ScriptedModel(willing, dimensions=384) as model:
        code, output = await run(block, tmp_path, environment(tmp_path, model, postgres_url))
    assert code == 0, f"{block.place} ended with {code}:\n{output}"


def test_every_block_that_is_not_run_says_why() -> None:
    assert [b.place for b in BLOCKS if b.reason is not None and len(b.reason.split()) < 3] == []


def test_every_block_names_its_language() -> None:
    assert [b.place for b in BLOCKS if not b.language] == []


def test_no_block_runs_the_tests_from_within_the_tests() -> None:
    endless = ("make test", "make check", "pytest", ".ci/run", ".ci/check.sh")
    assert [b.place for b in RUN if b.language in SHELL and any(word in b.code for word in endless)] == []


SAMPLE = """
```bash
echo one
```
<!-- continues -->
```bash
echo two
```
<!-- not run: needs a key that costs money -->
```console
$ boring ask
answer
```
- listed:
  ```console
  $ echo a \\
  > b
  a b
  ```

```python
x = 1
```
Words.

<!-- continues -->

```python
print(x)
```
"""


def test_blocks_are_read_with_their_marks() -> None:
    assert blocks_of(SAMPLE, "f") == [
        Block("f:2", "bash", "echo one\n", None),
        Block("f:6", "bash", "echo one\necho two\n", None),
        Block("f:10", "console", "boring ask\n", "needs a key that costs money"),
        Block("f:15", "console", "echo a \\\nb\n", None),
        Block("f:21", "python", "x = 1\n", None),
        Block("f:28", "python", "x = 1\nprint(x)\n", None),
    ]


@pytest.mark.parametrize("how", ["from nothing", "forked"])
@pytest.mark.parametrize(
    ("language", "code", "ending"),
    [
        ("bash", "false\ntrue", 1),
        ("bash", "true", 0),
        ("bash", "boring ask ''\ntrue", 2),
        ("python", "import core.settings", 0),
        ("python", "1 / 0", 1),
    ],
)
async def test_a_block_that_fails_is_seen(
    run_forked: Runner, how: str, language: str, code: str, ending: int, tmp_path: Path
) -> None:
    async with ScriptedModel(willing) as model:
        env = environment(tmp_path, model, "none")
        runner = run_forked if how == "forked" else run
        assert (await runner(Block("x", language, code, None), tmp_path, env))[0] == ending


async def test_a_forked_command_has_the_input_output_and_folder_of_its_shell(
    run_forked: Runner, tmp_path: Path, postgres_url: str
) -> None:
    code = (
        "echo 'Anybody?' | boring ask - --json | tr a-z A-Z\n"
        f"cd {tmp_path}\necho 'The port is 2024.' > here.txt\nboring index here.txt\n"
    )
    async with ScriptedModel(willing, dimensions=384) as model:
        env = environment(tmp_path, model, postgres_url)
        ending, said = await run_forked(Block("x", "bash", code, None), ROOT, env)
    assert ending == 0, said
    assert '"ANSWER": "THIS IS A SCRIPTED ANSWER."' in said
    assert model.requests[0]["messages"][-1]["content"] == "Anybody?"


async def test_a_forked_command_is_killed_with_its_shell(tmp_path: Path, postgres_url: str) -> None:
    async with ScriptedModel([Reply(text="late", delay_s=600)]) as model:
        env = environment(tmp_path, model, postgres_url)
        with startable() as commands:
            env["PATH"] = f"{commands}:{env['PATH']}"
            process = await asyncio.create_subprocess_exec("boring", "ask", "Hello?", env=env)
            while not model.requests:  # noqa: ASYNC110 - what is awaited happens in another process
                await asyncio.sleep(0.05)
            process.kill()
            await process.wait()


async def test_a_python_block_reaches_the_scripted_model(tmp_path: Path) -> None:
    code = (
        "from langchain_openai import ChatOpenAI\n"
        "from pydantic import BaseModel\n"
        "class Route(BaseModel):\n    name: str\n    sure: bool\n    weight: int | None\n"
        "llm = ChatOpenAI(model='scripted')\n"
        "print(llm.invoke('Hi').text, llm.with_structured_output(Route).invoke('Hi'))\n"
    )
    async with ScriptedModel(willing) as model:
        env = environment(tmp_path, model, "none")
        ending, output = await run(Block("x", "python", code, None), tmp_path, env)
    assert ending == 0, output
    assert "This is a scripted answer. name='scripted' sure=False weight=None" in output
