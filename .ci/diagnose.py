"""Say in plain words why a step of the setup failed, from what the tool printed."""

import re
import shutil
import sys
from pathlib import Path

_LAST_LINES = 8

# The first that matches is told, so what is sure stands before what is vague.
_CAUSES: dict[str, str] = {
    r"no space left on device|os error 28|disk quota exceeded|os error 122": """\
The disk is full. Setup needs about 2 GB in the checkout and in the cache of uv (UV_CACHE_DIR).""",
    r"unknownissuer|certificate_verify_failed|invalid peer certificate|self.signed certificate": """\
The registry showed a certificate that is not trusted here. If your network signs TLS itself, put its
certificate into the system's store, or set both PIP_CERT and SSL_CERT_FILE to a file that holds it.""",
    r"hash mismatch|do not match the hashes": """\
A downloaded file is not the one that was locked. Try again; if it stays so, the index serves altered
files: compare with another network before you trust it.""",
    r"401 unauthorized|403 forbidden|status code 40[13]|407 proxy|proxy authentication": """\
The registry or the proxy refused access. Check the credentials in the index address that pip is
configured with (pip config list), or in HTTPS_PROXY.""",
    r"error sending request|dns error|failed to lookup|name resolution|connect error"
    r"|connection (refused|reset)|timed out|timeout|network is unreachable"
    r"|max retries exceeded|newconnectionerror|proxyerror": """\
The package registry can't be reached. Check the network; behind a proxy set HTTPS_PROXY; with an index
of your own set PIP_INDEX_URL. Then run the same command again: what was fetched is kept.""",
    r"matching (python abi|platform)|for the current platform|no matching distribution"
    r"|could not find a version": """\
There is no prebuilt package for this platform, or the index does not carry it. Supported are Linux
with glibc 2.28 or newer and macOS 14 or newer, on x86-64 and arm64, with CPython 3.11 to 3.13.""",
    r"permission denied|os error 13|read-only file system|os error 30|operation not permitted": """\
A file can't be written. The checkout, its .venv and .tools, and the cache of uv have to belong to you;
what another user (such as root) left in the checkout, that user can remove with: make clean""",
}


def explain(step: str, output: str, root: Path) -> str:
    """Return the message for a failed step."""
    tail = "\n".join(output.strip().splitlines()[-_LAST_LINES:])
    cause = next(
        (text for pattern, text in _CAUSES.items() if re.search(pattern, output, re.IGNORECASE)), None
    )
    free_mb = shutil.disk_usage(root).free // 2**20
    where = f"Python {sys.version.split()[0]} on {sys.platform}, {free_mb} MB free, checkout {root}"
    return f"{step} failed ({where}).\n{cause or 'The cause is in the lines below.'}\nIt said last:\n{tail}"


def explain_os_error(error: OSError, root: Path) -> str:
    """Return the message for a file that the setup itself could not write."""
    return explain("Preparing the checkout", f"{error} (os error {error.errno})", root)
