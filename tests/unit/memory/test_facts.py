"""What is known about a user: superseded and never overwritten, found with its origin, forgotten wholly."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from core.process import opened_process
from core.settings import Settings
from evals.scripted_model import ScriptedModel
from memory.facts import forget, history, recall, remember
from memory.items import Origin
from memory.store_uses import uses

LONG = "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(5_000))
"""A name of 15,000 bytes that can't be packed into fewer."""
ADA = Origin("acme", "ada@example.com", "t1", "r1", "m1", trusted=True)
BOB = Origin("acme", "bob")


@pytest.fixture(autouse=True)
async def process(postgres_url: str, tmp_path: Path) -> AsyncIterator[None]:
    async with ScriptedModel(dimensions=256) as model:
        settings = Settings(
            database_url=SecretStr(postgres_url), data_dir=tmp_path, embedding_base_url=model.base_url
        )
        async with opened_process(settings):
            yield


async def told(question: str, **options: Any) -> list[str]:
    return [memory.value["text"] for memory in await recall(question, **options)]


async def test_a_new_fact_supersedes_the_old_one_which_stays_in_the_history() -> None:
    await remember("Ada likes green tea.", subject="Favourite drink", origin=ADA)
    await remember("Ada likes coffee now.", subject=" favourite  DRINK ", origin=ADA)
    assert await told("What does Ada like?", origin=ADA) == ["Ada likes coffee now."]
    old, new = await history("favourite drink", origin=ADA)
    assert old.value["text"] == "Ada likes green tea."
    assert (old.superseded_by, old.valid_to) == (new.id, new.valid_from)
    assert (new.superseded_by, new.valid_to) == (None, None)


async def test_saying_the_same_again_makes_no_new_version() -> None:
    first = await remember("Ada likes tea.", subject="drink", origin=ADA)
    again = await remember("Ada likes tea.", subject="drink", origin=ADA)
    assert first.id == again.id
    assert len(await history("drink", origin=ADA)) == 1


async def test_a_memory_says_where_it_came_from() -> None:
    await remember("Ada likes tea.", subject="drink", origin=ADA)
    await remember("Pay the invoice.", subject="note", kind="episode", origin=Origin("acme", ADA.user))
    (found,) = await recall("tea", kind="fact", origin=ADA)
    assert (found.origin, found.kind, found.uses) == (ADA, "fact", 0)
    assert found.score == 1.0
    (found,) = await recall("invoice", kind="episode", origin=ADA)
    assert not found.origin.trusted
    assert len(await recall("tea", origin=ADA)) == 2
    await (await uses()).write()
    assert (await history("drink", origin=ADA))[0].uses == 2


async def test_users_of_a_tenant_have_memories_of_their_own() -> None:
    await remember("Ada likes tea.", subject="drink", origin=ADA)
    await remember("Bob likes tea.", subject="drink", origin=BOB)
    assert await told("tea", origin=BOB) == ["Bob likes tea."]
    assert await told("tea") == []


async def test_forgetting_takes_every_version_and_nothing_else() -> None:
    for text in ("tea", "coffee"):
        await remember(text, subject="drink", origin=ADA)
        await remember(text, subject="drink", origin=BOB)
    assert await forget("Drink", origin=ADA) == 2
    assert await forget("Drink", origin=ADA) == 0
    assert await history("drink", origin=ADA) == []
    assert len(await history("drink", origin=BOB)) == 2


async def test_an_expired_fact_is_not_recalled_and_can_be_learnt_again() -> None:
    await remember("Ada is away.", subject="where", ttl_minutes=0, origin=ADA)
    assert await told("away", origin=ADA) == []
    await remember("Ada is away.", subject="where", origin=ADA)
    assert await told("away", origin=ADA) == ["Ada is away."]
    gone, held = await history("where", origin=ADA)
    assert (gone.superseded_by, gone.valid_to is None, held.valid_to) == (None, False, None)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (" ", {}),
        ("x", {"subject": " "}),
        ("x", {"ttl_minutes": -1}),
        ("x", {"ttl_minutes": float("nan")}),
        ("x", {"ttl_minutes": 1e12}),
        ("x", {"subject": LONG}),
        ("x", {"origin": Origin("acme", LONG)}),
    ],
)
async def test_what_is_no_memory_is_refused(text: str, options: dict[str, Any]) -> None:
    subject: dict[str, Any] = {"subject": "s"}
    with pytest.raises(ValueError, match="expected"):
        await remember(text, **(subject | options))


def test_a_memory_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="tenant is ''"):
        Origin("", "ada")
    with pytest.raises(ValueError, match="user is None"):
        Origin("acme", None)  # pyright: ignore[reportArgumentType]


async def test_of_a_long_question_the_beginning_is_asked() -> None:
    await remember("Ada likes tea.", subject="drink", origin=ADA)
    words = " ".join(str(number) for number in range(50_000))
    assert await told(f"tea {words}", origin=ADA) == ["Ada likes tea."]
    (asked,) = await recall(f"tea {words}", origin=ADA)
    (short,) = await recall(f"tea {words}"[:8_000], origin=ADA)
    assert asked.score == short.score
