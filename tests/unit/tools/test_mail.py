import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiosmtplib
import pytest
from aiosmtpd.smtp import SMTP, Envelope
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from core.errors import ConfigurationError, ToolError, TransientError
from core.settings import Settings
from tools.contract import Tool
from tools.mail import MailServer, mail_sender, mail_server

KEY = "a" * 64
WRITTEN = {"to": "ann@example.com", "subject": "Grüße", "body": "One line.\n.\nAnother.\n"}


class Mailbox:
    """Takes mail; `rcpt` and `data` are what it says at these steps, `dropping` hangs up after the text."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.rcpt, self.data = "250 OK", "250 taken as 42"
        self.dropping = False

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Any, envelope: Envelope, address: str, options: Any
    ) -> str:
        del server, session, options
        envelope.rcpt_tos.append(address)
        return self.rcpt

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Envelope) -> str:  # noqa: N802 - as above
        del session
        self.taken.append(envelope)
        if self.dropping:
            transport: Any = server.transport
            transport.abort()
        return self.data

    def message(self, number: int) -> str:
        content = self.taken[number].content
        assert isinstance(content, bytes)
        return content.decode()


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
async def server(mailbox: Mailbox) -> AsyncIterator[MailServer]:
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(
        lambda: SMTP(mailbox, hostname="mail.test", loop=loop), "127.0.0.1", 0
    )
    port: int = listening.sockets[0].getsockname()[1]
    yield MailServer("127.0.0.1", port, sender="agent@boring.test", security="none")
    listening.close()
    await listening.wait_closed()


@pytest.fixture
def tool(server: MailServer) -> Tool:
    return mail_sender(server=server, domains=["Example.com"])


async def test_the_mail_arrives_as_it_was_written(tool: Tool, mailbox: Mailbox) -> None:
    said = await tool.run(**WRITTEN, key=KEY)
    assert said == "The mail server took the mail to ann@example.com: taken as 42"
    assert (mailbox.taken[0].mail_from, mailbox.taken[0].rcpt_tos) == (
        "agent@boring.test",
        ["ann@example.com"],
    )
    message = mailbox.message(0)
    assert "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=" in message
    assert message.endswith("\r\n\r\nOne line.\r\n.\r\nAnother.\r\n")


async def test_a_repeat_carries_the_same_message_id(tool: Tool, mailbox: Mailbox) -> None:
    for key in (KEY, KEY, "b" * 64):
        await tool.run(**WRITTEN, key=key)
    ids = [
        line
        for n in range(3)
        for line in mailbox.message(n).splitlines()
        if line.lower().startswith("message-id:")
    ]
    assert ids == [f"Message-ID: <{KEY}@boring.test>"] * 2 + [f"Message-ID: <{'b' * 64}@boring.test>"]


@pytest.mark.parametrize("to", ["ann@evil.test", "ann@sub.example.com", "ann@example.com.evil.test"])
async def test_no_mail_leaves_the_allowed_domains(tool: Tool, mailbox: Mailbox, to: str) -> None:
    with pytest.raises(ToolError, match=r"only to example\.com"):
        await tool.run(**{**WRITTEN, "to": to}, key=KEY)
    assert mailbox.taken == []


@pytest.mark.parametrize("subject", ["a\nBcc: eve@evil.test", "a\r\n\r\nbody", "a\0b", "a\u2028b"])
async def test_a_subject_can_not_add_a_header(tool: Tool, mailbox: Mailbox, subject: str) -> None:
    with pytest.raises(ToolError, match="one line"):
        await tool.run(**{**WRITTEN, "subject": subject}, key=KEY)
    assert mailbox.taken == []


@pytest.mark.parametrize(
    "to",
    [
        "ann",
        "@example.com",
        "a@b@example.com",
        "Ann <ann@example.com>",
        "a@example.com,b@example.com",
        "ann@example.com\n",
        "a\r\nRCPT TO:<b@example.com>@example.com",
        "änn@example.com",
        '"a b"@example.com',
    ],
)
def test_what_is_not_one_plain_address_is_refused(to: str) -> None:
    with pytest.raises(ValidationError):
        _unconnected().arguments.model_validate({**WRITTEN, "to": to})


@given(st.text(max_size=30))
def test_an_address_that_is_taken_holds_no_space_and_no_second_at(text: str) -> None:
    try:
        _unconnected().arguments.model_validate({**WRITTEN, "to": f"{text}@example.com"})
    except ValidationError:
        return
    assert text.isascii()
    assert text.isprintable()
    assert not set(text) & set(' @,;<>()"\\')


@pytest.mark.parametrize(("step", "code"), [("rcpt", "450"), ("data", "451"), ("data", "421")])
async def test_not_now_is_transient(tool: Tool, mailbox: Mailbox, step: str, code: str) -> None:
    setattr(mailbox, step, f"{code} come back later")
    with pytest.raises(TransientError, match=f"{code} come back later"):
        await tool.run(**WRITTEN, key=KEY)


@pytest.mark.parametrize(("step", "code"), [("rcpt", "550"), ("data", "554")])
async def test_never_is_told_to_the_model(tool: Tool, mailbox: Mailbox, step: str, code: str) -> None:
    setattr(mailbox, step, f"{code} no such box")
    with pytest.raises(ToolError, match=f"{code} no such box"):
        await tool.run(**WRITTEN, key=KEY)


async def test_a_connection_lost_with_the_mail_under_way_is_not_called_a_failure_or_a_success(
    tool: Tool, mailbox: Mailbox
) -> None:
    mailbox.dropping = True
    with pytest.raises(ConnectionError):
        await tool.run(**WRITTEN, key=KEY)
    assert len(mailbox.taken) == 1


async def test_a_server_that_is_not_there_is_a_connection_error(
    server: MailServer, unused_tcp_port: int
) -> None:
    tool = mail_sender(server=replace(server, port=unused_tcp_port), domains=["example.com"])
    with pytest.raises(aiosmtplib.SMTPConnectError):
        await tool.run(**WRITTEN, key=KEY)


async def test_a_server_without_tls_gets_no_password(server: MailServer, mailbox: Mailbox) -> None:
    login = replace(server, security="starttls", username="u", password=SecretStr("hunter22"))
    with pytest.raises(ToolError, match="STARTTLS") as refused:
        await mail_sender(server=login, domains=["example.com"]).run(**WRITTEN, key=KEY)
    assert "hunter22" not in str(refused.value)
    assert mailbox.taken == []


def test_a_password_in_the_clear_over_a_network_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="in the clear"):
        MailServer("mail.example.com", 25, sender="a@b.test", username="u", security="none")


def test_without_a_server_or_a_domain_there_is_no_tool() -> None:
    with pytest.raises(ConfigurationError, match="BORING_SMTP_HOST"):
        mail_server(Settings(smtp_host=None))
    with pytest.raises(ConfigurationError, match="BORING_SMTP_DOMAINS"):
        mail_sender(server=MailServer("127.0.0.1", 25, sender="a@b.test"), domains=[])


def _unconnected() -> Tool:
    return mail_sender(server=MailServer("127.0.0.1", 25, sender="a@b.test"), domains=["example.com"])
