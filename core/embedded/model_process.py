"""The process that serves the embedded model: `python -m core.embedded.model_process FOLDER PLAN`.

It serves on the loopback interface under a random key, and ends itself once no client holds the clients'
lock any more, however the clients ended.
"""

import json
import os
import secrets
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from core.embedded.flock import is_held, locked, wait_until_free
from core.embedded.model_plan import CHAT_TEMPLATE, ServerFolder, ServerPlan

_CACHE_MIB = 512
"""Memory for evaluated prompts that no slot holds: some 18,000 tokens."""
_LOG_ERRORS = 1


def main() -> None:
    """Serve until the last client is gone."""
    folder, plan = ServerFolder(Path(sys.argv[1])), ServerPlan.from_json(sys.argv[2])
    folder.write(folder.pid, str(os.getpid()))
    key = secrets.token_urlsafe(32)
    server = _serve(plan, key)
    folder.write(
        folder.endpoint,
        json.dumps({"base_url": f"{server.listening_address}/v1", "api_key": key, "model": _name(plan)}),
    )
    _outlast_clients(folder, plan.linger_s)
    # The engine's own teardown waits for open connections; nothing it holds needs saving.
    os._exit(0)


def _name(plan: ServerPlan) -> str:
    return Path(plan.model_file).stem


def _serve(plan: ServerPlan, key: str) -> Any:
    xllamacpp = import_module("xllamacpp")  # has no types
    params = xllamacpp.CommonParams()
    params.model.path = plan.model_file
    params.model_alias = {_name(plan)}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.ui = False
    params.verbosity = _LOG_ERRORS
    params.use_jinja = True
    params.chat_template = CHAT_TEMPLATE.read_text()
    params.n_gpu_layers = 0
    params.fit_params = False
    params.warmup = False
    params.cpuparams.n_threads = plan.threads
    params.cpuparams_batch.n_threads = plan.threads
    # Threads that wait for one another sleep instead of spinning, which halves the speed of a busy machine.
    params.cpuparams.poll = 0
    params.cpuparams_batch.poll = 0
    # The weights stay as they are in the file, so they are shared and start at once. Rearranged for this
    # processor they cost 0.6 GB and seconds at each start, and read prompts no faster (measured).
    params.no_extra_bufts = True
    # One context for all slots, of which one may use all; prompts that lose their slot are kept in memory.
    params.n_ctx = plan.context
    params.n_parallel = plan.slots
    params.kv_unified = True
    params.cache_ram_mib = _CACHE_MIB
    params.slot_save_path = f"{plan.slot_folder}/"
    return xllamacpp.Server(params)


def _outlast_clients(folder: ServerFolder, linger_s: float) -> None:
    """Return when nobody uses the server; then nobody can join it either, since the starter lock is kept."""
    while True:
        wait_until_free(folder.clients)
        time.sleep(linger_s)
        starter = locked(folder.starter)
        if starter is None:
            time.sleep(0.05)
        elif is_held(folder.clients):
            os.close(starter)
        else:
            folder.endpoint.unlink(missing_ok=True)
            return


if __name__ == "__main__":
    main()
