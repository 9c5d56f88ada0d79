"""A conversation is gone on with by the tenant that began it, and by no other one."""

from typing import Any

import pytest

from core.context import RunContext
from core.errors import InputError
from core.process import current_process
from graphs.recorded import recorded
from graphs.single import create_agent
from tests.graphs.remembering import rows
from tests.runs import begins

SECRET = "the code is 4711"  # noqa: S105 - what nobody else may see
ACME, GLOBEX = RunContext(tenant="acme", user="ada"), RunContext(tenant="globex", user="bob")


async def said(graph: Any, text: str, context: Any, thread: str = "t") -> list[str]:
    config = {"configurable": {"thread_id": thread}}
    state = await graph.ainvoke({"messages": [("user", text)]}, config, context=context)
    return [one.text for one in state["messages"]]


async def test_another_tenant_neither_reads_nor_changes_a_conversation(saver: Any, speaking: Any) -> None:
    agent = create_agent(llm=await speaking(["One.", "Two."]), checkpointer=saver)
    await said(agent, SECRET, ACME)
    for context in (GLOBEX, None, {"tenant": "globex"}):
        with pytest.raises(InputError, match="is another tenant's"):
            await said(agent, "What is it?", context)
    bens = RunContext(tenant="acme", user="ben")
    assert await said(agent, "Go on.", bens) == [SECRET, "One.", "Go on.", "Two."]
    assert len(await rows("select * from boring.run")) == 2


async def test_a_graph_of_one_s_own_and_a_copy_are_as_much_the_tenant_s(saver: Any, speaking: Any) -> None:
    agent = create_agent(llm=await speaking(["One.", "Two."]), checkpointer=saver)
    await said(agent, SECRET, ACME)
    await saver.acopy_thread("t", "copy")
    await saver.adelete_thread("t")
    for graph in (agent, recorded(agent)):
        for thread in ("t", "copy"):
            with pytest.raises(InputError, match="is another tenant's"):
                await said(graph, "What is it?", GLOBEX, thread)
    assert await said(agent, "And?", ACME, "copy") == [SECRET, "One.", "And?", "Two."]


async def test_the_database_is_asked_once_for_a_tenant_and_a_thread(saver: Any, speaking: Any) -> None:
    agent = create_agent(llm=await speaking(["One.", "Two."]), checkpointer=saver)
    await said(agent, "First", ACME)
    database = await (await current_process()).database()
    await begins(database, "of globex", thread_id="t", tenant="globex")
    assert len(await said(agent, "Second", ACME)) == 4
    with pytest.raises(InputError, match="is another tenant's"):
        await said(agent, "Third", GLOBEX)
