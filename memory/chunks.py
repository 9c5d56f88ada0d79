"""How a document is cut into passages that a search can return."""

from collections.abc import Sequence
from dataclasses import dataclass

from langchain_text_splitters import MarkdownHeaderTextSplitter, RecursiveCharacterTextSplitter

MAX_CHARS = 700
"""Most characters of a passage: about 180 tokens, under the 256 that the embedded model reads."""
OVERLAP_CHARS = 80


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage and the headings it stands under."""

    section: str
    text: str

    @property
    def searchable(self) -> str:
        """The text that is embedded: what a passage is about often stands in its headings only."""
        return f"{self.section}\n{self.text}" if self.section else self.text


def chunks_of(text: str, *, markdown: bool) -> list[Chunk]:
    """Cut a text into passages of at most `MAX_CHARS` characters, in Markdown never across a heading."""
    return cut(sections_of_markdown(text) if markdown else [("", text)])


def cut(sections: Sequence[tuple[str, str]]) -> list[Chunk]:
    """Cut sections, each its place and its text, into passages of at most `MAX_CHARS` characters."""
    splitter = RecursiveCharacterTextSplitter(chunk_size=MAX_CHARS, chunk_overlap=OVERLAP_CHARS)
    return [
        Chunk(section, passage)
        for section, body in sections
        for passage in splitter.split_text(body)
        if passage.strip()
    ]


def sections_of_markdown(text: str) -> list[tuple[str, str]]:
    """Return the texts between the headings of Markdown, each with the headings above it."""
    levels = [("#" * depth, str(depth)) for depth in range(1, 5)]
    documents = MarkdownHeaderTextSplitter(levels).split_text(text)
    return [
        (" > ".join(str(document.metadata[key]) for key in sorted(document.metadata)), document.page_content)
        for document in documents
    ]
