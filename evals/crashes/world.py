"""The world outside: a ledger of what has really happened, and the tools that write to it."""

import json
import os
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.process import current_process
from guardrails.approval import ApprovalPolicy, Level, always, over
from tools.contract import Finding, Tool, contract
from tools.injection import IdempotencyKey, Transaction

EFFECTS = ("pay", "pay_checked", "refund", "mail", "ticket")
"""The tools with an effect; every run has to have each of them once."""

ROLES = {"manager": ("ann", "bob"), "director": ("carol",)}
CHAIN = over("order", 0, levels=[Level("manager"), Level("director")])
"""Who has to agree to a refund where it needs a chain of two levels."""
_OPEN_TICKET = "insert into boring.ticket (tenant, title, body, created_by) values (%s, %s, %s, 'crash')"


@dataclass(frozen=True, slots=True)
class World:
    """What has happened outside in the name of one thread.

    Attributes:
        ledger: a file with one line for every effect.
        thread_id: the thread.
        cross: called before and after each effect.
    """

    ledger: Path
    thread_id: str
    cross: Callable[[], None]

    def happen(self, tool: str, key: str = "") -> None:
        """Let an effect happen: from the moment the line is written, nothing takes it back."""
        self.cross()
        line = json.dumps({"tool": tool, "key": key}) + "\n"
        file = os.open(self.ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(file, line.encode())
        os.close(file)
        self.cross()

    def lines(self) -> list[dict[str, str]]:
        """Return what has happened, oldest first."""
        if not self.ledger.exists():
            return []
        return [json.loads(line) for line in self.ledger.read_text().splitlines()]

    def times(self, tool: str) -> int:
        """Return how often an effect has happened; mails of one key are one, as their service sees it."""
        lines = [line for line in self.lines() if line["tool"] == tool]
        return len({line["key"] for line in lines}) if tool == "mail" else len(lines)


def journaled_tools(world: World, *, refunds: ApprovalPolicy = always) -> list[Tool]:
    """Return tools of all four classes of effect, with and without a hook, one that needs approval.

    Args:
        world: what they act on.
        refunds: who has to agree to a refund.
    """

    async def look(order: int) -> str:
        """Look up an order."""
        return f"order {order} is paid {world.times('pay')} times"

    async def pay(order: int, note: str) -> str:
        """Pay for an order."""
        world.happen("pay")
        return f"paid order {order} ({note})"

    async def refund(order: int, note: str) -> str:
        """Give money back; somebody has to agree."""
        world.happen("refund")
        return f"refunded order {order} ({note})"

    async def mail(order: int, note: str, key: IdempotencyKey) -> str:
        """Send a mail about an order."""
        world.happen("mail", key)
        return f"told about order {order} ({note})"

    return [
        contract(look, effect="read"),
        contract(pay),
        contract(refund, approval=refunds),
        contract(mail, effect="idempotent"),
        _bank(world),
        _tickets(world),
    ]


def _bank(world: World) -> Tool:
    async def pay_checked(order: int, note: str, key: IdempotencyKey) -> str:
        """Pay for an order at a bank that can be asked."""
        world.happen("pay_checked", key)
        return f"paid order {order} ({note})"

    async def was_paid(arguments: Mapping[str, Any], key: str) -> Finding:
        del arguments
        happened = any(line["key"] == key for line in world.lines() if line["tool"] == "pay_checked")
        return Finding(happened=happened, result="paid, says the bank")

    return contract(pay_checked, reconcile=was_paid, timeout_s=1)


def _tickets(world: World) -> Tool:
    async def ticket(order: int, note: str, transaction: Transaction) -> str:
        """Open a ticket about an order."""
        world.cross()
        await transaction.execute(_OPEN_TICKET, (world.thread_id, f"order {order}", note))
        return f"opened a ticket about order {order}"

    return contract(ticket, effect="transactional")


def unjournaled_tools(world: World) -> list[Tool]:
    """Return the same effects, declared as reads: the journal is off, and nobody is asked."""

    def once(name: str) -> Tool:
        async def effect(order: int, note: str) -> str:
            if name == "ticket":
                await open_ticket(world, order, note)
            else:
                world.happen(name, uuid.uuid4().hex)
            return f"{name} of order {order} is done"

        effect.__name__ = name
        effect.__doc__ = f"Do {name}."
        return contract(effect, effect="read")

    async def look(order: int) -> str:
        """Look up an order."""
        return f"order {order} is known"

    return [contract(look, effect="read"), *(once(name) for name in EFFECTS)]


async def open_ticket(world: World, order: int, note: str) -> None:
    """Insert a ticket over a connection of its own."""
    database = await (await current_process()).database()
    async with database.pool.connection() as connection:
        await connection.execute(_OPEN_TICKET, (world.thread_id, f"order {order}", note))


def missing_and_twice(world: World, tickets: int) -> tuple[list[str], list[str]]:
    """Return the effects that a finished run lacks, and those that happened more than once."""
    times = Counter({name: world.times(name) for name in EFFECTS} | {"ticket": tickets})
    return [name for name in EFFECTS if not times[name]], [name for name in EFFECTS if times[name] > 1]
