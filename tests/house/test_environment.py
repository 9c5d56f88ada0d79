import ast
from pathlib import Path

import pytest

# Who else touches the environment, and why that is not reading a setting.
ALLOWED = {
    "core/settings.py": "the one reader",
    "core/embedded/sources.py": "hands its own environment on to pip, with another temporary folder",
}

NAMES = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}


def environment_uses(source: str) -> list[int]:
    """Return the lines that touch the environment of the process."""
    return [node.lineno for node in ast.walk(ast.parse(source)) if _touches(node)]


def _touches(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module == "os" and any(alias.name in NAMES for alias in node.names)
    return isinstance(node, ast.Attribute) and node.attr in NAMES


def test_only_the_settings_read_the_environment(root: Path, product: list[Path]) -> None:
    users = {str(path) for path in product if environment_uses((root / path).read_text())}
    assert users - set(ALLOWED) == set()
    assert set(ALLOWED) - users == set(), "no longer needed in the list"


@pytest.mark.parametrize(
    "source",
    ["import os\nos.environ['X']", "import os as o\no.getenv('X')", "x = 1\nfrom os import environ as e"],
)
def test_every_way_to_read_the_environment_is_seen(source: str) -> None:
    assert environment_uses(source) == [2]
