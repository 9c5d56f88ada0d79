import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import ConfigurationError, ToolError
from tools.contract import Tool, ToolResult
from tools.files import MAX_MATCHES, file_tools
from tools.folder import Folder

SECRET = "xyzzy-plugh"  # noqa: S105 - what must not be seen


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "notes").mkdir(parents=True)
    (tmp_path / "root" / "notes" / "todo.txt").write_text("buy milk\ncall Ann\n")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text(SECRET)
    return tmp_path / "root"


@pytest.fixture
def tools(root: Path) -> dict[str, Tool]:
    return {tool.name: tool for tool in file_tools(root=root, max_bytes=100_000)}


async def read(tools: dict[str, Tool], path: str, first_line: int = 1) -> str:
    result = await tools["read_file"].run(path=path, first_line=first_line)
    assert isinstance(result, ToolResult)
    return result.text


async def test_a_file_is_read_and_is_a_source(tools: dict[str, Tool]) -> None:
    result = await tools["read_file"].run(path="notes/todo.txt")
    assert result.text == "buy milk\ncall Ann"
    assert [source["source"] for source in result.sources] == ["notes/todo.txt"]


async def test_a_long_file_is_read_part_by_part(tools: dict[str, Tool], root: Path) -> None:
    lines = [f"line {n} {'x' * 90}" for n in range(1, 901)]
    (root / "long.txt").write_text("\n".join(lines))
    seen: list[str] = []
    while len(seen) < len(lines):
        part = (await read(tools, "long.txt", len(seen) + 1)).splitlines()
        if len(seen) + len(part) < len(lines):
            assert part.pop() == (
                f"[lines {len(seen) + 1} to {len(seen) + len(part)} of 900;"
                f" go on with first_line={len(seen) + len(part) + 1}]"
            )
        seen += part
    assert seen == lines
    with pytest.raises(ToolError, match="has 900 lines"):
        await read(tools, "long.txt", 901)


async def test_a_folder_is_listed_with_what_kind_and_size_everything_is(
    tools: dict[str, Tool], root: Path
) -> None:
    (root / "link").symlink_to("notes")
    (root / "a.txt").write_text("12345")
    assert await tools["list_files"].run(path="") == "a.txt (5)\nlink (not a file)\nnotes/"
    assert await tools["list_files"].run(path="notes") == "notes/todo.txt (18)"


async def test_lines_are_found_whatever_their_case_and_binaries_are_skipped(
    tools: dict[str, Tool], root: Path
) -> None:
    (root / "b.bin").write_bytes(b"ann\0")
    (root / "out").symlink_to(root.parent / "outside")
    found = await tools["search_files"].run(text="ANN")
    assert found == "notes/todo.txt:2: call Ann\n[1 files skipped: too large, or not text]"
    assert "No line holds" in await tools["search_files"].run(text=SECRET)


async def test_a_search_stops_and_says_so(tools: dict[str, Tool], root: Path) -> None:
    (root / "many.txt").write_text("ann\n" * 500)
    found = (await tools["search_files"].run(text="ann")).splitlines()
    assert len(found) == MAX_MATCHES + 1
    assert found[-1] == "[stopped here; there may be more]"


async def test_writing_the_same_again_changes_nothing(tools: dict[str, Tool], root: Path) -> None:
    path = root / "new" / "deep" / "a.txt"
    assert "Wrote 6 bytes" in await tools["write_file"].run(path="new/deep/a.txt", content="Grüß")
    before = path.stat()
    assert "exactly that already" in await tools["write_file"].run(path="new/deep/a.txt", content="Grüß")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    await tools["write_file"].run(path="new/deep/a.txt", content="")
    assert path.read_bytes() == b""


async def test_a_replaced_file_keeps_its_mode_and_leaves_no_draft(tools: dict[str, Tool], root: Path) -> None:
    path = root / "notes" / "todo.txt"
    path.chmod(0o640)
    await tools["write_file"].run(path="notes/todo.txt", content="new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [entry.name for entry in (root / "notes").iterdir()] == ["todo.txt"]


async def test_a_write_that_fails_leaves_the_old_content(
    tools: dict[str, Tool], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, f"No space left on {descriptor}")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ToolError, match="no space left"):
        await tools["write_file"].run(path="notes/todo.txt", content="new")
    assert [entry.name for entry in (root / "notes").iterdir()] == ["todo.txt"]
    assert (root / "notes" / "todo.txt").read_text().startswith("buy milk")


ESCAPES = ["/etc/passwd", "../outside/secret.txt", "notes/../../outside/secret.txt", "..", "/", "notes/.."]


@pytest.mark.parametrize("path", ESCAPES)
@pytest.mark.parametrize("name", ["read_file", "list_files", "write_file", "search_files"])
async def test_no_path_leads_outside(tools: dict[str, Tool], root: Path, name: str, path: str) -> None:
    given: Any = {"write_file": {"content": "x"}, "search_files": {"text": "x"}}.get(name, {})
    with pytest.raises(ToolError, match="leads outside"):
        await tools[name].run(path=path, **given)
    assert (root.parent / "outside" / "secret.txt").read_text() == SECRET


@pytest.mark.parametrize(
    "path", ["link.txt", "out/secret.txt", "notes/out/secret.txt", "up/outside/secret.txt"]
)
async def test_no_link_is_followed_at_the_end_or_on_the_way(
    tools: dict[str, Tool], root: Path, path: str
) -> None:
    outside = root.parent / "outside"
    (root / "link.txt").symlink_to(outside / "secret.txt")
    (root / "out").symlink_to(outside)
    (root / "notes" / "out").symlink_to("../../outside")
    (root / "up").symlink_to("..")
    with pytest.raises(ToolError, match="link"):
        await read(tools, path)
    with pytest.raises(ToolError, match=r"link|in the way"):
        await tools["write_file"].run(path=path, content="x")
    assert (outside / "secret.txt").read_text() == SECRET
    assert [entry.name for entry in outside.iterdir()] == ["secret.txt"]


def test_a_link_that_is_swapped_in_after_the_look_is_not_followed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = root / "notes" / "todo.txt"
    look = os.stat

    def swapping(name: Any, **options: Any) -> os.stat_result:
        found = look(name, **options)
        if name == "todo.txt" and not path.is_symlink():
            path.unlink()
            path.symlink_to(root.parent / "outside" / "secret.txt")
        return found

    monkeypatch.setattr(os, "stat", swapping)
    with pytest.raises(ToolError, match="link"):
        Folder(root).read("notes/todo.txt", 100)


async def test_what_is_no_regular_file_is_refused_and_never_waited_for(
    tools: dict[str, Tool], root: Path
) -> None:
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(root / "sock"))
        for name in ("pipe", "sock"):
            with pytest.raises(ToolError, match="device, a pipe or a socket"):
                await read(tools, name)
            with pytest.raises(ToolError, match="only regular files"):
                await tools["write_file"].run(path=name, content="x")
        assert await tools["search_files"].run(text="ann") == "notes/todo.txt:2: call Ann"


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\0\0", b"text\0text", b"\xff\xfe\x00"])
async def test_a_binary_file_is_refused_in_clear_words(
    tools: dict[str, Tool], root: Path, content: bytes
) -> None:
    (root / "x.bin").write_bytes(content)
    with pytest.raises(ToolError, match=r"'x.bin' is (a binary file|not text in UTF-8)"):
        await read(tools, "x.bin")


async def test_what_is_too_large_is_refused(tools: dict[str, Tool], root: Path) -> None:
    (root / "big.txt").write_text("x" * 100_001)
    with pytest.raises(ToolError, match="has 100,001 bytes; at most 100,000"):
        await read(tools, "big.txt")
    with pytest.raises(ToolError, match="at most 100,000"):
        await tools["write_file"].run(path="a.txt", content="ü" * 60_000)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("nope.txt", "There is no 'nope.txt'"),
        ("notes", "is a folder"),
        ("notes/todo.txt/x", "no folder"),
        ("a\0b", "no name here"),
        ("a\nb", "no name here"),
        ("\ud800", "no name here"),
        ("x" * 300, "too long a name"),
        ("a/" * 30 + "b", "folders deep"),
        (".", "names no file"),
    ],
)
async def test_a_path_that_can_not_be_read_is_told_why(tools: dict[str, Tool], path: str, told: str) -> None:
    with pytest.raises(ToolError, match=told):
        await read(tools, path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(
    st.lists(st.sampled_from(["..", ".", "", "notes", "out", "secret.txt", "outside", "~", " "]), max_size=6)
)
async def test_no_mix_of_steps_reads_or_writes_outside(
    tools: dict[str, Tool], root: Path, parts: list[str]
) -> None:
    path = "/".join(parts)
    if not (root / "out").is_symlink():
        (root / "out").symlink_to(root.parent / "outside")
    for name, more in (("read_file", {}), ("write_file", {"content": "inside"})):
        try:
            result = await tools[name].run(path=path, **more)
        except ToolError:
            continue
        assert SECRET not in str(result)
    assert (root.parent / "outside" / "secret.txt").read_text() == SECRET
    assert sorted(entry.name for entry in root.parent.iterdir()) == ["outside", "root"]


async def test_a_root_that_is_gone_is_for_the_operator(tmp_path: Path) -> None:
    reading = file_tools(root=tmp_path / "gone")[1]
    with pytest.raises(ConfigurationError, match="gone"):
        await reading.run(path="a.txt")
