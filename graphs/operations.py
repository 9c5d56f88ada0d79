"""The reference hierarchy: an operations office that looks up, refunds and writes, with approval."""

from dataclasses import replace

from langgraph.checkpoint.base import BaseCheckpointSaver

from core.settings import settings
from graphs.example_orders import order_tools
from graphs.hierarchy import Team, create_hierarchy
from graphs.single import Agent, create_agent
from guardrails.approval import Level, any_of, outside, over
from tools.calculator import arithmetic
from tools.contract import Tool
from tools.documents import document_search
from tools.mail import mail_sender
from tools.refunds import refunds

MANAGER, DIRECTOR = Level("manager"), Level("director")
ROLES = {"manager": ("ann", "bob"), "director": ("carol",)}
"""Who agrees to what, to try the office with. `BORING_ROLES` names the people of a real one."""
REFUNDS = any_of(
    over("amount_eur", 50, levels=[MANAGER]), over("amount_eur", 500, levels=[MANAGER, DIRECTOR])
)
"""Over 50 EUR a manager has to agree, over 500 EUR a director too."""
RESEARCH = (
    "You find out what the rules say. Search the documents, compute where it is needed, and report what you "
    "found, with its source. Do not guess."
)
RECORDS = (
    "You look up orders by SQL, refund them and write e-mails. List the tables first, then query them. "
    "Refund an order only if the task says how much, and only once. Report the numbers of what you did."
)


def create_operations(checkpointer: BaseCheckpointSaver[str] | None = None) -> Agent:
    """Return the operations office. It sends e-mail only where a mail server is configured.

    Args:
        checkpointer: keeps threads; None inside a server.
    """
    roles = settings().roles or ROLES
    finding = [document_search(), arithmetic()]
    acting = [*order_tools(), *refunds(approval=REFUNDS), *_mail()]
    return create_hierarchy(
        name="hierarchical",
        teams=[
            Team(
                "research",
                "Finds what documents and policies say, and computes. Changes nothing.",
                create_agent(name="research", tools=finding, system_prompt=RESEARCH),
                examples=("How long may goods be returned?", "Who pays for the postage?"),
            ),
            Team(
                "records",
                "Looks up orders, refunds them, writes e-mails. Needs order numbers and amounts.",
                create_agent(name="records", tools=acting, system_prompt=RECORDS, roles=roles),
                examples=("How many orders were cancelled?", "Refund order 7 with 20 EUR: it came late."),
            ),
        ],
        checkpointer=checkpointer,
        memory=None,
    )


def _mail() -> list[Tool]:
    """Return the e-mail tool where a server is configured; mail to strangers needs a manager."""
    if not settings().smtp_host:
        return []
    known = settings().smtp_domains
    return [replace(mail_sender(), approval=outside("to", known, levels=[MANAGER]))]


graph = create_operations()
"""As the server loads it, without a checkpointer: the server brings its own."""
