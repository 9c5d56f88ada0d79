"""The reference router: a help desk that reads documents, looks into data, and handles tickets."""

from langgraph.checkpoint.base import BaseCheckpointSaver

from core.settings import settings
from graphs.example_orders import order_tools
from graphs.router import Specialist, create_router
from graphs.single import Agent, create_agent
from guardrails.routing import Rule
from tools.calculator import arithmetic
from tools.clock import clock
from tools.declining import decline
from tools.documents import document_search
from tools.mail import mail_sender
from tools.tickets import ticket_desk

DOCUMENTS = (
    "You answer questions from the documents. Search first, then answer from what was found. If a request is "
    "about numbers in data files, tickets or e-mail, decline it."
)
DATA = (
    "You answer questions about data files by SQL. List the tables first, then query them. Decline the rest."
)
ACTIONS = (
    "You handle tickets, and e-mail where you have it. Do exactly what is asked, once, and tell its number. "
    "If a request is only a question about how something works, decline it."
)
GENERAL = "You are a friendly help desk. Answer small talk, dates and sums. What you can't do, say so."
RULES = (Rule("actions", pattern=r"\b(open|close|create|update|list|show)\b.{0,30}\btickets?\b"),)


def create_help_desk(checkpointer: BaseCheckpointSaver[str] | None = None) -> Agent:
    """Return the help desk; `checkpointer` keeps threads, None inside a server."""
    everyone = specialists()
    return create_router(
        specialists=everyone,
        rules=RULES,
        unsure="general",
        general="general",
        checkpointer=checkpointer,
        memory=None,
    )


def specialists() -> list[Specialist]:
    """Return those who answer. E-mail is sent only where a mail server is configured."""
    mail = [mail_sender()] if settings().smtp_host else []
    return [
        Specialist(
            "documents",
            "Answers how things work and what the rules are, from manuals and policies.",
            create_agent(name="documents", tools=[document_search(), decline()], system_prompt=DOCUMENTS),
            not_for="counting or adding up orders; opening or changing tickets",
            examples=("How long may goods be returned?", "Is shipping free?", "Explain the warranty."),
        ),
        Specialist(
            "data",
            "Counts, adds up and looks up orders in data files.",
            create_agent(name="data", tools=[*order_tools(), decline()], system_prompt=DATA),
            not_for="rules and policies",
            examples=(
                "How many orders were returned?",
                "Show Jane Roe's orders.",
                "What is the mean price?",
            ),
        ),
        Specialist(
            "actions",
            "Opens, changes and lists support tickets, and sends e-mail.",
            create_agent(name="actions", tools=[*ticket_desk(), *mail, decline()], system_prompt=ACTIONS),
            not_for="explaining how something works",
            examples=("Open a ticket: my chair broke", "Who works on ticket 4?", "Mail the team I am late"),
        ),
        Specialist(
            "general",
            "Greetings, thanks, the time, small sums, what the desk can do, and all that nobody else is for.",
            create_agent(name="general", tools=[arithmetic(), clock()], system_prompt=GENERAL),
            examples=("Good evening!", "What day is it?", "Book a hotel"),
        ),
    ]


graph = create_help_desk()
