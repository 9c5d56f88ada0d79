import getpass
import importlib
import re
import sys
from pathlib import Path

import pytest

SECRETS = [
    r"\bsk-[A-Za-z0-9_-]{20,}",
    r"\blsv2_[a-z]{2}_[0-9a-f]{16,}",
    r"\bgh[pousr]_[A-Za-z0-9]{20,}",
    r"\bgithub_pat_\w{20,}",
    r"\bhf_[A-Za-z0-9]{20,}",
    r"\bA[KS]IA[0-9A-Z]{16}\b",
    r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    r"\beyJ[A-Za-z0-9_-]{20,}\.eyJ",
]


def machine_paths(root: Path) -> list[str]:
    """Return patterns of paths that only exist on somebody's machine."""
    here = {root, Path(sys.base_prefix)} - {Path("/usr"), Path("/usr/local")}
    homes = [r"/(home|Users)/[a-z]\w+", r"/root/", r"[A-Z]:\\Users\\"]
    return [*homes, *(re.escape(str(path)) + r"\b" for path in here)]


def index_hosts() -> list[str]:
    """Return the hosts of the public package index, as pip knows them."""
    index = importlib.import_module("pip._internal.models.index").PyPI
    return [re.escape(index.netloc), re.escape(index.file_storage_domain), r"(extra-)?index-url[ =]+\S*://"]


def matches(patterns: list[str], root: Path, files: list[Path]) -> dict[str, list[str]]:
    """Return what of the patterns is in which file."""
    pattern = re.compile("|".join(f"(?:{p})" for p in patterns))
    found: dict[str, list[str]] = {}
    for path in files:
        text = (root / path).read_bytes().decode("utf-8", errors="ignore")
        if hits := [hit.group() for hit in pattern.finditer(text)]:
            found[str(path)] = hits
    return found


def test_no_file_names_a_package_index(root: Path, files: list[Path]) -> None:
    assert matches(index_hosts(), root, files) == {}


def test_no_file_names_a_place_on_a_machine(root: Path, files: list[Path]) -> None:
    itself = Path(__file__).relative_to(root)
    assert matches(machine_paths(root), root, [path for path in files if path != itself]) == {}


def test_no_file_holds_a_secret(root: Path, files: list[Path]) -> None:
    assert matches(SECRETS, root, files) == {}


def test_every_file_of_text_ends_its_lines_the_same_way(root: Path, files: list[Path]) -> None:
    assert [
        str(path)
        for path in files
        if path.suffix in {".py", ".md", ".toml"} and b"\r" in (root / path).read_bytes()
    ] == []


@pytest.mark.parametrize(
    ("text", "patterns"),
    [
        ("key = sk-" + "a1B2" * 6, SECRETS),
        ("-----BEGIN OPENSSH " + "PRIVATE KEY-----", SECRETS),
        ("AKIA" + "ABCDEFGH12345678", SECRETS),
        (f"see {Path.home().parent}/home/{getpass.getuser()}/x", [r"/(home|Users)/[a-z]\w+"]),
        ("pip install --index-url https" + "://example.org/simple x", index_hosts()),
    ],
)
def test_what_must_not_be_in_a_file_is_found(text: str, patterns: list[str], tmp_path: Path) -> None:
    (tmp_path / "x").write_text(text)
    assert matches(patterns, tmp_path, [Path("x")])
