import asyncio
import gc
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from core.loading import load

_FIRST = """
import threading
from tests_of_loading import begun, go_on
begun.set()
assert go_on.wait(30)
"""
_ENDS = """
import asyncio
from core.loading import load_for_good
asyncio.run(load_for_good("core.settings"))
import duckdb
"""


class Gate:
    """What a module under import is seen and held by."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go_on = threading.Event()


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    (tmp_path / "loaded_first.py").write_text(_FIRST)
    (tmp_path / "loaded_second.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("loaded_first", "loaded_second"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "tests_of_loading", gate)  # pyright: ignore[reportArgumentType] - enough of one
    return gate


async def test_modules_are_imported_in_their_order_and_the_collector_runs_again(gate: Gate) -> None:
    gate.go_on.set()
    await load("loaded_first", "loaded_second")
    assert {"loaded_first", "loaded_second"} <= sys.modules.keys()
    assert gc.isenabled()


async def test_a_cancelled_load_leaves_out_what_was_not_begun(gate: Gate) -> None:
    loading = asyncio.create_task(load("loaded_first", "loaded_second"))
    assert await asyncio.to_thread(gate.begun.wait, 30)
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    gate.go_on.set()
    await load("core.loading")  # one at a time, so this one ends after the other
    assert "loaded_first" in sys.modules
    assert "loaded_second" not in sys.modules


def test_a_library_in_c_that_comes_later_complains_of_nothing_at_the_exit() -> None:
    done = subprocess.run([sys.executable, "-c", _ENDS], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")
