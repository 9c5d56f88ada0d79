import subprocess
import sys
from pathlib import Path
from typing import Any


def test_imports_run_down_the_floors_only(root: Path) -> None:
    held = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=root,
        check=False,
        capture_output=True,
        text=True,
    )
    assert held.returncode == 0, held.stdout


def test_every_top_level_package_has_its_floor(project: dict[str, Any], top_level: list[str]) -> None:
    rules = project["tool"]["importlinter"]
    layers = [layer for contract in rules["contracts"] for layer in contract.get("layers", ())]
    named = sorted(name.strip() for layer in layers for name in layer.split("|"))
    assert named == top_level
    assert sorted(rules["root_packages"]) == top_level


def test_every_package_on_disk_is_installed(project: dict[str, Any], product: list[Path]) -> None:
    folders = {".".join(path.parent.parts) for path in product}
    assert sorted(folders) == sorted(project["tool"]["setuptools"]["packages"])


def test_every_folder_of_python_at_the_root_is_known(modules: list[Path], top_level: list[str]) -> None:
    assert {path.parts[0] for path in modules if len(path.parts) > 1} <= {
        *top_level,
        ".ci",
        "benchmarks",
        "tests",
    }
