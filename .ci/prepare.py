"""Prepare `.venv`: uv by pip into `.tools`, then the locked packages, then the project itself.

Nothing but the standard library of Python 3.11 is at hand here. Safe to run twice at once (the second
waits), to kill at any point (an unfinished `.venv` is made anew) and to run again (it sees that nothing
is to be done). `--ready` only tells, by its exit code, whether there is nothing to do.
"""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from diagnose import explain, explain_os_error
from registry import pip_environment, pip_settings, uv_environment

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
STAMP = VENV / "setup-stamp.json"
UV_LOCK = ROOT / ".ci" / "uv.lock"
LOCK = ROOT / "requirements.lock"


class SetupError(Exception):
    """A step failed; the message says why and what to do."""


def say(text: str) -> None:
    """Tell the user, on stderr: stdout belongs to what runs after the setup."""
    sys.stderr.write(f"setup: {text}\n")
    sys.stderr.flush()


def wanted_stamp() -> dict[str, str]:
    """Return what identifies a finished setup."""
    inputs = hashlib.sha256()
    for path in (LOCK, ROOT / "pyproject.toml", *sorted((ROOT / ".ci").glob("*.py")), UV_LOCK):
        inputs.update(path.read_bytes())
    locked = hashlib.sha256(LOCK.read_bytes())
    return {
        "inputs": inputs.hexdigest(),
        "locked": locked.hexdigest(),
        "python": platform.python_version(),
        "root": str(ROOT),
    }


def found_stamp() -> dict[str, str]:
    """Return what the last finished setup left; empty if it was never finished."""
    try:
        return json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def write_stamp() -> None:
    """Record that the setup is finished, in one step that can't be seen half done."""
    partial = STAMP.with_suffix(".partial")
    partial.write_text(json.dumps(wanted_stamp()), encoding="utf-8")
    partial.replace(STAMP)


@contextmanager
def only_one() -> Iterator[int]:
    """Hold the setup of this checkout; wait for the one that does.

    The file handle is given to child processes, so that the lock outlives a killed setup as long as
    a child of it still writes.
    """
    TOOLS.mkdir(exist_ok=True)
    handle = os.open(TOOLS / "setup.lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another setup of this checkout is running; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


class Steps:
    """Runs the commands of the setup, shows their progress, and times them."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def run(self, step: str, command: list[str], env: Mapping[str, str], *, show: bool = False) -> None:
        """Run one command; with `show`, pass its lines on, save the list of each single package.

        Raises:
            SetupError: it failed.
        """
        began = time.monotonic()
        lines: list[str] = []
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            pass_fds=(self._handle,),
        ) as process:
            for line in process.stdout or ():
                lines.append(line)
                if show and not line.startswith((" + ", " - ", " ~ ")):
                    sys.stderr.write(f"    {line.rstrip()}\n")
        if process.returncode:
            raise SetupError(explain(step, "".join(lines), ROOT))
        say(f"{step}: done in {time.monotonic() - began:.1f} s")


def install_uv(steps: Steps, settings: Mapping[str, str]) -> Path:
    """Install the locked uv by pip into a folder of its own; return the program."""
    home = TOOLS / f"uv-{hashlib.sha256(UV_LOCK.read_bytes()).hexdigest()[:12]}"
    program = home / "bin" / "uv"
    if program.exists():
        return program
    for old in TOOLS.glob("uv-*"):
        shutil.rmtree(old)
    partial = TOOLS / "uv-partial"
    say("installing uv with pip (25 MB)")
    command = [sys.executable, "-P", "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--no-user", "--target", str(partial), "--require-hashes", "-r", str(UV_LOCK)]
    steps.run("Installing uv", command, pip_environment(os.environ, settings))
    partial.rename(home)
    return program


def make_venv(steps: Steps, uv: Path, env: Mapping[str, str]) -> bool:
    """Make `.venv`, unless a finished one stands here; tell whether it holds the locked packages already."""
    found, wanted = found_stamp(), wanted_stamp()
    STAMP.unlink(missing_ok=True)
    if (VENV / "bin" / "python").exists() and all(
        found.get(key) == wanted[key] for key in ("python", "root")
    ):
        return found.get("locked") == wanted["locked"]
    command = [str(uv), "venv", "--quiet", "--no-project", "--clear", "--python", sys.executable, str(VENV)]
    steps.run(f"Making .venv with Python {wanted['python']}", command, env)
    return False


def install_packages(steps: Steps, uv: Path, env: Mapping[str, str]) -> None:
    """Make `.venv` hold the locked packages and nothing else."""
    say("installing the locked packages (the first time 250 MB)")
    command = [str(uv), "pip", "sync", "--python", str(VENV / "bin" / "python")]
    # What comes as source is built with the locked setuptools, so that nothing unlocked is ever run.
    command += ["--require-hashes", "--build-constraints", str(LOCK)]
    command += ["--require-build-hashes", "--preview-features", "build-dependency-hashes", str(LOCK)]
    steps.run("Installing the locked packages", command, env, show=True)


def install_project(steps: Steps, uv: Path, env: Mapping[str, str]) -> None:
    """Add this project to `.venv`, in place and without the network."""
    command = [str(uv), "pip", "install", "--python", str(VENV / "bin" / "python"), "--quiet", "--offline"]
    command += ["--no-deps", "--no-build-isolation", "-e", str(ROOT)]
    steps.run("Installing this project", command, env)


def prepare() -> None:
    """Do what is missing."""
    with only_one() as handle:
        if found_stamp() == wanted_stamp():
            return
        began = time.monotonic()
        steps = Steps(handle)
        settings = pip_settings()
        uv = install_uv(steps, settings)
        env = uv_environment(os.environ, settings, TOOLS)
        if not make_venv(steps, uv, env):
            install_packages(steps, uv, env)
        install_project(steps, uv, env)
        write_stamp()
        say(f"ready after {time.monotonic() - began:.1f} s")


def main() -> int:
    """Prepare, or with `--ready` tell whether there is nothing to do; return the exit code."""
    if "--ready" in sys.argv[1:]:
        return 0 if found_stamp() == wanted_stamp() else 1
    try:
        prepare()
    except SetupError as error:
        say(str(error))
        return 1
    except OSError as error:
        say(explain_os_error(error, ROOT))
        return 1
    except KeyboardInterrupt:
        say("interrupted; the next run mends what is half done")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
