"""What the tests of approval share: a shop whose payments need a chain, and ways to look at it."""

from typing import Any

from langchain_core.messages import ToolMessage

from core.context import RunContext
from core.process import Process
from evals.scripted_model import Reply, ToolCall
from graphs.single import Agent, create_agent
from guardrails.approval import ApprovalPolicy
from memory.approvals import ApprovalRow, approvals
from tools.contract import contract
from tools.deciding import decide
from tools.questions import Decision, EditedAction

ROLES = {"clerk": ["carl", "cora"], "manager": ["ann", "bob", "eve"], "director": ["dora"], "cfo": ["finn"]}
ASKED: Any = {"messages": [("user", "Pay")]}
BY_ANN = RunContext(user="ann")
BY_USER = RunContext(user="uma")


def config(thread: str = "t") -> Any:
    return {"configurable": {"thread_id": thread}}


def pays(*amounts: int, to: str = "shop") -> Reply:
    return Reply(tool_calls=tuple(ToolCall("pay", {"amount": amount, "to": to}) for amount in amounts))


class Shop:
    """An agent that pays, and what it has paid."""

    def __init__(self, saver: Any, speaking: Any, process: Process) -> None:
        self.saver, self.speaking, self.process = saver, speaking, process
        self.paid: list[tuple[int, str]] = []
        self.model: Any = None

    async def agent(self, policy: ApprovalPolicy, *, script: Any = None, **parts: Any) -> Agent:
        async def pay(amount: int, to: str = "shop") -> str:
            """Pay an amount."""
            self.paid.append((amount, to))
            return f"paid {amount} to {to}"

        self.model = await self.speaking(script or [pays(500), "Done."])
        parts = {"checkpointer": self.saver, "roles": ROLES, **parts}
        return create_agent(llm=self.model, tools=[contract(pay, approval=policy)], **parts)

    async def asked(self, agent: Agent, *, thread: str = "t", context: RunContext = BY_USER) -> ApprovalRow:
        """Let the user ask for the payment; return the request that waits."""
        await agent.ainvoke(ASKED, config(thread), context=context)
        return await self.request(thread=thread)

    async def request(self, *, thread: str = "t") -> ApprovalRow:
        (row,) = await approvals(await self.process.database(), settled=True, thread_id=thread)
        return row

    async def decides(
        self, who: str, kind: Any, *, row: ApprovalRow | None = None, **what: Any
    ) -> ApprovalRow:
        one = row or await self.request()
        decision = Decision(type=kind, **what)
        database = await self.process.database()
        return await decide(database, one.id, decision, by=who, arguments_hash=one.arguments_hash)

    async def edits(self, who: str, **arguments: Any) -> ApprovalRow:
        return await self.decides(who, "edit", edited_action=EditedAction(name="pay", args=arguments))

    def told(self, state: Any) -> list[str]:
        """What the model was told of its calls."""
        return [message.text for message in state["messages"] if isinstance(message, ToolMessage)]


def levels(row: ApprovalRow) -> list[tuple[str, str, list[str]]]:
    """Role, state and who has agreed, level by level."""
    return [
        (one["level"]["role"], one["state"], [agreement["by"] for agreement in one["agreed"]])
        for one in row.chain["levels"]
    ]
