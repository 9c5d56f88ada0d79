"""What Python itself says of a command's faults is in its log: without private data, as JSON where asked."""

import json
from pathlib import Path

from tests.canaries import left_in
from tests.commands import environment, python

_FAULTS = """
import sys, threading, warnings
from app.logs import write_log
from tests.canaries import SENTENCES as told

class Left:
    def __del__(self):
        raise ValueError(told)

def fail():
    raise ValueError(told)

write_log()
warnings.warn(told)
thread = threading.Thread(target=fail, name="worker")
thread.start()
thread.join()
Left()
threading.Thread(target=sys.exit).start()
"""


async def test_warnings_and_what_fails_in_threads_and_at_the_end_of_objects_are_lines_of_the_log(
    tmp_path: Path,
) -> None:
    env = environment(tmp_path, "", BORING_LOG_FORMAT="json")
    _, _, error = await python(_FAULTS, env=env, cwd=Path.cwd())
    assert left_in(error) == []
    warned, in_thread, at_end = map(json.loads, error.splitlines())
    assert (warned["logger"], warned["level"]) == ("py.warnings", "warning")
    assert in_thread["event"] == "The thread worker has failed."
    assert at_end["event"].endswith("Left.__del__.")
    assert all("ValueError: write to [EMAIL]" in one["exception"] for one in (in_thread, at_end))
