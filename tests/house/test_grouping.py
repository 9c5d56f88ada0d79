"""Tests that share a server run on one worker."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_MODULE = """
import os, pytest
{mark}
@pytest.mark.parametrize("n", range(8))
def test_it(n, worker_id):
    with open({log!r}, "a") as log:
        log.write(worker_id + "\\n")
"""


def workers(folder: Path, mark: str) -> set[str]:
    log = folder / "log"
    (folder / "test_it.py").write_text(_MODULE.format(mark=mark, log=str(log)), encoding="utf-8")
    options = ["--disable-plugin-autoload", "-p", "xdist.plugin", "-p", "tests.grouping", "-n2"]
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            *options,
            "--dist",
            "loadgroup",
            "--rootdir",
            folder,
            "-c",
            "/dev/null",
            folder,
        ],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return set(log.read_text(encoding="utf-8").split())


def test_a_module_with_a_group_stays_on_one_worker(tmp_path: Path) -> None:
    assert len(workers(tmp_path, 'pytestmark = pytest.mark.xdist_group("it")')) == 1
