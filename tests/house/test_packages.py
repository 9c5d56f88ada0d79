import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

DRAWERS = {
    "common",
    "helper",
    "helpers",
    "manager",
    "managers",
    "misc",
    "miscellaneous",
    "util",
    "utilities",
    "utils",
}


def test_every_top_level_package_is_ours(root: Path, top_level: list[str], tmp_path: Path) -> None:
    """Flat names such as `core` could be taken by another distribution."""
    code = (
        "import importlib, json, sys\n"
        "print(json.dumps({n: importlib.import_module(n).__file__ for n in sys.argv[1:]}))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, *top_level], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    for name, file in json.loads(told.stdout).items():
        assert Path(file).resolve() == root / name / "__init__.py"


def test_every_package_says_what_lives_in_it(root: Path, product: list[Path]) -> None:
    for folder in {path.parent for path in product}:
        assert folder / "__init__.py" in product, f"{folder} has no __init__.py"
        assert ast.get_docstring(ast.parse((root / folder / "__init__.py").read_text())), (
            f"{folder} has no docstring"
        )


def more_than_names(source: str) -> list[int]:
    """Return the lines of an `__init__.py` that are neither its docstring nor an import."""
    body = ast.parse(source).body
    return [node.lineno for node in body[1:] if not isinstance(node, ast.Import | ast.ImportFrom)]


def test_a_package_file_holds_only_names(root: Path, product: list[Path]) -> None:
    found = {
        str(path): more_than_names((root / path).read_text())
        for path in product
        if path.name == "__init__.py"
    }
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_no_module_lists_its_names_twice(root: Path, modules: list[Path]) -> None:
    def lists(path: Path) -> bool:
        tree = ast.parse((root / path).read_text())
        return any(isinstance(node, ast.Name) and node.id == "__all__" for node in ast.walk(tree))

    assert [str(path) for path in modules if lists(path)] == []


def test_there_is_no_drawer(modules: list[Path]) -> None:
    assert [str(path) for path in modules if DRAWERS & {path.stem, *path.parts, *path.stem.split("_")}] == []


@pytest.mark.parametrize(
    "source", ['"""Doc."""\nx = 1', '"""Doc."""\ndef f(): ...', '"""Doc."""\nif 1:\n    import a']
)
def test_what_a_package_file_may_not_hold_is_seen(source: str) -> None:
    assert more_than_names(source) == [2]
