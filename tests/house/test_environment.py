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
    nodes = ast.walk(ast.parse(source))
    return [
        node.lineno for node in nodes if isinstance(node, ast.ImportFrom | ast.Attribute) and touches(node)
    ]


def touches(node: ast.ImportFrom | ast.Attribute) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr in NAMES
    return node.module == "os" and any(alias.name in NAMES for alias in node.names)


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
