"""What a server of the embedded model is to be, and where its files stand."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from core.errors import ConfigurationError

CHAT_TEMPLATE = Path(__file__).with_name("chat_template.jinja")


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """How a server is started.

    Attributes:
        model_file: the weights.
        threads: how many it computes with.
        context: tokens that all its slots share.
        slots: requests it answers at once.
        slot_folder: where it reads and writes evaluated prompts.
        linger_s: how long it stays after its last client has gone.
    """

    model_file: str
    threads: int
    context: int
    slots: int
    slot_folder: str
    linger_s: float

    def to_json(self) -> str:
        """Return the plan as one argument of a command."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "ServerPlan":
        """Read back what `to_json` wrote."""
        return cls(**json.loads(text))


def fingerprint(model_file: Path) -> str:
    """Return what an evaluated prompt depends on besides its text: weights, engine and template. Blocks.

    Raises:
        ConfigurationError: the weights can't be read, or the engine isn't installed.
    """
    try:
        status, engine = model_file.stat(), version("xllamacpp")
    except OSError as error:
        raise ConfigurationError(
            f"The weights {model_file} can't be read ({error.strerror}). Name a GGUF file in"
            " BORING_MODEL_PATH, or unset it to have one fetched."
        ) from error
    except PackageNotFoundError as error:
        raise ConfigurationError(
            "The embedded model needs the package xllamacpp, which isn't installed. Install boring-agents"
            " with its extra `local`, or set OPENAI_BASE_URL to an endpoint to use instead."
        ) from error
    parts = (
        str(model_file.resolve()),
        str(status.st_size),
        str(status.st_mtime_ns),
        engine,
        CHAT_TEMPLATE.read_text(),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def usable_cores() -> int:
    """Return how many cores this process may use, by its affinity and its control group.

    Source: Linux kernel documentation, Control Group v2, cpu.max.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


class ServerFolder:
    """The files of one server. Locks tell who lives; the other files only say what they are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.starter = path / "starter.lock"
        """Held alone by whoever starts, joins, replaces or ends the server."""
        self.clients = path / "clients.lock"
        """Held together by everyone who uses the server."""
        self.alive = path / "server.lock"
        """Held by the server for its life."""
        self.pid = path / "server.pid"
        self.endpoint = path / "endpoint.json"
        self.log = path / "server.log"

    def make(self) -> None:
        """Make the folder for its owner alone."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.mkdir(mode=0o700, exist_ok=True)

    def write(self, path: Path, text: str) -> None:
        """Let a file appear at once, readable by its owner alone."""
        fresh = path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        fresh.replace(path)
