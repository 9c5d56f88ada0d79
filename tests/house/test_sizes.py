import ast
from pathlib import Path

import pytest

MOST_LINES_OF_SOURCE = 300
MOST_LINES_OF_TESTS = 400
MOST_LINES_OF_A_FUNCTION = 40
MOST_BYTES_OF_A_FILE = 1_000_000


def test_no_file_is_too_long(root: Path, modules: list[Path]) -> None:
    lengths = {path: len((root / path).read_text().splitlines()) for path in modules}
    most = {
        path: MOST_LINES_OF_TESTS if path.parts[0] == "tests" else MOST_LINES_OF_SOURCE for path in modules
    }
    assert {str(path): length for path, length in lengths.items() if length > most[path]} == {}


def long_functions(source: str) -> dict[str, int]:
    """Return the functions that do not fit a screen, with their lines from `def` to end; inner ones count."""
    found: dict[str, int] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > MOST_LINES_OF_A_FUNCTION:
                found[node.name] = lines
    return found


def test_every_function_fits_a_screen(root: Path, modules: list[Path]) -> None:
    found = {str(path): long_functions((root / path).read_text()) for path in modules}
    assert {path: names for path, names in found.items() if names} == {}


def test_no_file_is_too_big(root: Path, files: list[Path]) -> None:
    sizes = {str(path): (root / path).stat().st_size for path in files}
    assert {path: size for path, size in sizes.items() if size > MOST_BYTES_OF_A_FILE} == {}


@pytest.mark.parametrize(("lines", "too_long"), [(39, False), (40, True)])
def test_a_function_is_measured_with_its_signature_and_docstring(lines: int, *, too_long: bool) -> None:
    body = "".join(f"    x = {i}\n" for i in range(lines - 1))
    assert bool(long_functions(f'async def f():\n    """Doc."""\n{body}')) is too_long
