import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.embedded import flock
from core.embedded.flock import is_held
from core.embedded.lease import locked


async def test_one_at_a_time_and_the_waiting_one_is_told(tmp_path: Path) -> None:
    lock, waits, inside = tmp_path / "new" / "lock", asyncio.Event(), list[str]()

    async def second() -> None:
        async with locked(lock, waiting=waits.set):
            inside.append("second")

    async with asyncio.TaskGroup() as group, locked(lock):
        group.create_task(second())
        await waits.wait()
        inside.append("first")
    assert inside == ["first", "second"]
    assert not is_held(lock)
    assert lock.stat().st_mode & 0o777 == 0o600


async def test_shared_holders_exclude_only_who_wants_it_alone(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    async with locked(lock, shared=True), locked(lock, shared=True):
        assert is_held(lock)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2), locked(lock):
                pass
    assert not is_held(lock)


async def test_waiting_that_is_cancelled_takes_nothing(tmp_path: Path) -> None:
    lock, waits = tmp_path / "lock", asyncio.Event()

    async def wait() -> None:
        async with locked(lock, waiting=waits.set):
            pass

    async with locked(lock):
        waiting = asyncio.create_task(wait())
        await waits.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert not is_held(lock)


async def test_a_lock_that_comes_while_its_taker_is_cancelled_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "lock"
    trying, go_on, taken = threading.Event(), threading.Event(), threading.Event()

    def slowly(path: Path, *, shared: bool) -> int | None:
        trying.set()
        go_on.wait(10)
        descriptor = flock.locked(path, shared=shared)
        taken.set()
        return descriptor

    async def take() -> None:
        async with locked(lock):
            pass

    monkeypatch.setattr("core.embedded.lease.flock", SimpleNamespace(locked=slowly))
    taking = asyncio.create_task(take())
    await asyncio.to_thread(trying.wait, 10)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    go_on.set()
    assert await asyncio.to_thread(taken.wait, 10)
    assert not await asyncio.to_thread(is_held, lock, timeout_s=5)
