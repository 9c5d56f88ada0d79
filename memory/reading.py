"""Reads a file into passages, by what kind of document its name says it is."""

import asyncio
from pathlib import Path

from core.loading import load
from memory.chunks import Chunk, chunks_of, cut, sections_of_markdown
from memory.reading_html import markdown_of_html, plain
from memory.reading_pdf import pages_of_pdf

TEXT = (".txt",)
MARKDOWN = (".md", ".markdown")
HTML = (".html", ".htm", ".xhtml")
PDF = (".pdf",)
SUFFIXES = (*MARKDOWN, *TEXT, *HTML, *PDF)
"""What a file that can be indexed ends in."""


async def passages_of(content: bytes, suffix: str) -> list[Chunk]:
    """Return the passages of a document.

    Args:
        content: of the file.
        suffix: one of `SUFFIXES`.

    Raises:
        ValueError: it can't be read as what it is named; the message says why, to follow the file's name.
    """
    if suffix in PDF:
        await load("pypdf")
    if suffix in HTML:
        await load("trafilatura")
    return await asyncio.to_thread(_passages, content, suffix)


def suffix_of(file: Path) -> str:
    """Return what a file's name ends in, in small letters."""
    return file.suffix.lower()


def _passages(content: bytes, suffix: str) -> list[Chunk]:
    if suffix in PDF:
        return cut(pages_of_pdf(content))
    if suffix in HTML:
        sections = sections_of_markdown(markdown_of_html(content))
        return cut([(plain(section), plain(text)) for section, text in sections])
    text = content.decode("utf-8")
    if "\0" in text:
        raise ValueError("not a text: it holds NUL characters")
    return chunks_of(text, markdown=suffix in MARKDOWN)
