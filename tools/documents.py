"""The tool that searches the knowledge base."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from core.protocols import Example
from core.state import Source
from memory.documents import document_store
from tools.context import run_context
from tools.contract import Tool, ToolResult, contract
from tools.progress import report_progress

_EXAMPLES = (
    "What do our docs say about the travel budget?",
    "How do I reset my password?",
    "What happens when a payment fails twice?",
    "What is the default size of a page?",
    "How can I use Kafka instead of the built-in queue?",
    "Does the service write to a log file?",
)
PASSAGES = 2
MAX_CHARS = 1100
"""Most characters of passages that go to the model: a small model reads about 350 of them in a second."""


async def search_documents(
    query: Annotated[str, Field(min_length=2, max_length=120, description="the question to look up")],
) -> ToolResult:
    """Look something up in the documents: how a product, command, setting, policy or process works."""
    tenant = run_context().tenant
    store = await document_store()
    found = await store.search(tenant, query, limit=PASSAGES)
    if not found:
        return ToolResult(
            "The knowledge base is empty. Say so; documents are added with `boring index PATH`."
        )
    report_progress(f"{len(found)} passages: {', '.join(dict.fromkeys(item['source'] for item in found))}")
    return ToolResult(_for_the_model(found), tuple(found))


def _for_the_model(found: Sequence[Source]) -> str:
    """Return the passages with path and place, the best one whole and the rest as far as there is room."""
    room = MAX_CHARS
    shown: list[str] = []
    for passage in found:
        place = ", ".join(part for part in (passage["source"], passage["section"]) if part)
        text = passage["text"].removeprefix(f"{passage['section']}\n")[: max(room, 0)]
        room -= len(text)
        if text:
            shown.append(f"[{place}]\n{text}")
    return "\n\n".join(shown)


def document_search() -> Tool:
    """Return the tool `search_documents`."""
    return contract(
        search_documents,
        effect="read",
        timeout_s=30,
        examples=tuple(Example(question, {"query": question}) for question in _EXAMPLES),
    )
