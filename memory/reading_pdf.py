"""Reads the text of a PDF page by page, within bounds: a small file can unpack to a huge one."""

import logging
import time
from io import BytesIO
from typing import TYPE_CHECKING, Any

from core.text import storable_text

if TYPE_CHECKING:
    from pypdf import PdfReader

MAX_PAGES = 3000
MAX_CHARS = 10_000_000
MAX_SECONDS = 120.0
"""After it no further page is begun."""
_BOUNDS: dict[str, Any] = {
    "zlib_maximum_output_length": 20_000_000,
    "lzw_maximum_output_length": 20_000_000,
    "run_length_maximum_output_length": 20_000_000,
    "stream_decoding_work_maximum_length": 50_000_000,
    "stream_parsing_work_maximum_count": 500_000,
    "page_tree_maximum_entries": 2 * MAX_PAGES,
    "xform_maximum_invocations_per_extraction": 500,
}
_ENCRYPTED = "is encrypted; save it without its password"


def pages_of_pdf(content: bytes, *, max_seconds: float = MAX_SECONDS) -> list[tuple[str, str]]:
    """Return each page that holds text, as its place (`page 3`, counted from 1) and its text.

    `pypdf` has to be loaded. Nothing of a page is drawn or run; a stream is unpacked up to 20 MB.

    Raises:
        ValueError: it is encrypted, broken, larger than the bounds, or holds no text.
    """
    from pypdf import PdfReader, apply_configuration  # noqa: PLC0415 - large, and loaded by now
    from pypdf.errors import DependencyError, FileNotDecryptedError, LimitReachedError  # noqa: PLC0415

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it tells of each odd byte, the report of the file
    try:
        with apply_configuration(**_BOUNDS):
            pages = _texts(PdfReader(BytesIO(content)), time.monotonic() + max_seconds)
    except (DependencyError, FileNotDecryptedError) as error:
        raise ValueError(_ENCRYPTED) from error
    except LimitReachedError as error:
        raise ValueError(f"unpacks to more than is read: {error}") from error
    except ValueError:
        raise
    except Exception as error:  # a broken file ends pypdf in errors of every kind, as it says itself
        raise ValueError(f"is no PDF that can be read: {type(error).__name__}: {error}") from error
    if not pages:
        raise ValueError("holds no text, as scanned pages do; make them text by character recognition first")
    return pages


def _texts(reader: "PdfReader", until: float) -> list[tuple[str, str]]:
    """Return the texts of the pages.

    Raises:
        ValueError: they are more than is read.
    """
    found: list[tuple[str, str]] = []
    room = MAX_CHARS
    if reader.is_encrypted and not reader.decrypt(""):
        raise ValueError(_ENCRYPTED)
    if len(reader.pages) > MAX_PAGES:
        raise ValueError(f"has {len(reader.pages):,} pages, at most {MAX_PAGES:,} are read")
    for number, page in enumerate(reader.pages, start=1):
        if time.monotonic() > until:
            raise ValueError(f"takes too long to read: it was given up at page {number:,}")
        text = storable_text(page.extract_text()).strip()
        room -= len(text)
        if room < 0:
            raise ValueError(f"holds more than {MAX_CHARS:,} characters")
        if text:
            found.append((f"page {number}", text))
    return found
