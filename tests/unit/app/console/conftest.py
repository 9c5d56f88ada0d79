import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.unit.app.approval_desk import Desk
from tests.unit.app.conftest import desk as desk


@pytest.fixture
async def console(desk: Desk, programs: Path) -> AsyncIterator[str]:
    """`boring console` at the desk, by its address."""
    process = await asyncio.create_subprocess_exec(
        *(str(programs / "boring"), "console"),
        cwd=desk.folder,
        env=desk.env | {"PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    told = (await process.stdout.readline()).decode()
    address = re.search(r"http://127\.0\.0\.1:[0-9]+/console", told)
    assert address, told + (await process.stdout.read()).decode()
    yield address[0]
    os.kill(process.pid, signal.SIGINT)
    rest = (await process.stdout.read()).decode()
    assert await process.wait() == 130
    assert "Traceback" not in rest, rest


@pytest.fixture
async def visitor(console: str) -> AsyncIterator[httpx.AsyncClient]:
    """A browser without JavaScript."""
    async with httpx.AsyncClient(base_url=console, follow_redirects=True, timeout=30) as client:
        yield client
