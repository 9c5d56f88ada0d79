"""The process that stops a server nobody uses, and starts one again that died while in use.

Run as `python -m core.embedded.watchdog <folder> <descriptor of its lock>`. It waits on locks, so it costs
nothing while nothing happens, and needs nobody to tell it that a client was killed.
"""

import contextlib
import math
import os
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

from core.embedded.flock import exclusive, is_held, locked, wait_until_free
from core.embedded.home import find_home, lock_file
from core.embedded.processes import detach
from core.embedded.server import Server
from core.errors import DatabaseError

_LINGER_S = 1.0
_RETRY_S = 5.0


def ensure(folder: Path) -> None:
    """Start the watchdog of a folder unless it runs. This blocks."""
    lock = locked(lock_file(folder, "watchdog"))
    if lock is None:
        return
    # However this process came by its packages, the watchdog finds them too.
    packages = [str(Path(__file__).resolve().parents[2]), *filter(os.path.isabs, sys.path)]
    try:
        # -P: what happens to lie in the working folder must not be imported in place of the project.
        detach(
            [sys.executable, "-P", "-m", "core.embedded.watchdog", folder.absolute(), str(lock)],
            None,
            keep=lock,
            log=folder / "watchdog.log",
            environment={"PYTHONPATH": os.pathsep.join(packages)},
        )
    finally:
        os.close(lock)


def watch(folder: Path) -> None:
    """Return once the server is stopped because it had no clients."""
    threading.Thread(target=_revive, args=(folder,), daemon=True).start()
    while True:
        wait_until_free(lock_file(folder, "clients"))
        time.sleep(_LINGER_S)
        with exclusive(lock_file(folder, "start"), timeout_s=math.inf):
            if is_held(lock_file(folder, "clients")):
                continue
            Server(find_home(folder, create=False)).stop()
            # The role ends with the `start` lock held, so the next client finds either a watchdog or none.
            os._exit(0)


def _revive(folder: Path) -> None:
    while True:
        try:
            wait_until_free(lock_file(folder, "server"))
            with exclusive(lock_file(folder, "start"), timeout_s=math.inf):
                if is_held(lock_file(folder, "clients")):
                    Server(find_home(folder, create=False)).start()
                    continue
        except (DatabaseError, OSError) as error:
            sys.stderr.write(f"{datetime.now().astimezone().isoformat()} {error}\n")
        time.sleep(_RETRY_S)


if __name__ == "__main__":
    # Whoever deletes the folder, and with it the locks, leaves nothing to watch.
    with contextlib.suppress(FileNotFoundError):
        watch(Path(sys.argv[1]))
