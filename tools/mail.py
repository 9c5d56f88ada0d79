"""The tool that sends e-mail, over the operator's mail server and to the operator's domains only."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate
from typing import Annotated, Literal

from aiosmtplib import SMTP, SMTPException, SMTPRecipientsRefused, SMTPResponseException
from pydantic import Field, SecretStr

from core.errors import ConfigurationError, ToolError, TransientError
from core.settings import Settings, settings
from core.trust import system_trust
from tools.contract import Tool, contract
from tools.injection import IdempotencyKey

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
ADDRESS = rf"^{_ATOM}(\.{_ATOM})*@{_LABEL}(\.{_LABEL})*$"
"""One address of ASCII letters, without a name before it. Source: RFC 5321, dot-string and domain."""
_ON_THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}
_GOODBYE_S = 2.0
_PERMANENT = 500


@dataclass(frozen=True, slots=True)
class MailServer:
    """How mail is handed over.

    Attributes:
        host: name or address of the server.
        port: usually 587 for `starttls`, 465 for `tls`.
        sender: the address that mail is sent from.
        username: unset, no login.
        password: of `username`.
        security: `none` is for a server on this machine; no password travels over it elsewhere.
        timeout_s: most seconds of each step of the conversation.
    """

    host: str
    port: int
    sender: str
    username: str | None = None
    password: SecretStr | None = None
    security: Literal["starttls", "tls", "none"] = "starttls"
    timeout_s: float = 15.0

    def __post_init__(self) -> None:
        """Refuse to send a password in the clear over a network.

        Raises:
            ConfigurationError: it would be.
        """
        if self.security == "none" and self.username and self.host not in _ON_THIS_MACHINE:
            raise ConfigurationError(
                f"BORING_SMTP_SECURITY is 'none', so the password of {self.username!r} would travel to "
                f"{self.host} in the clear. Set it to 'starttls' or 'tls'."
            )


def mail_server(given: Settings | None = None) -> MailServer:
    """Return the mail server that the settings name.

    Raises:
        ConfigurationError: they name none, or no sender.
    """
    found = given or settings()
    if not found.smtp_host or not found.smtp_from:
        raise ConfigurationError(
            "send_email needs a mail server: set BORING_SMTP_HOST and BORING_SMTP_FROM, and usually "
            "BORING_SMTP_USERNAME and BORING_SMTP_PASSWORD."
        )
    return MailServer(
        found.smtp_host,
        found.smtp_port,
        sender=found.smtp_from,
        username=found.smtp_username,
        password=found.smtp_password,
        security=found.smtp_security,
    )


def mail_sender(*, server: MailServer | None = None, domains: Sequence[str] | None = None) -> Tool:
    """Return the tool `send_email`.

    Args:
        server: unset, the one that the settings name.
        domains: the only domains that mail may go to, exactly. Unset, those of `BORING_SMTP_DOMAINS`.

    Raises:
        ConfigurationError: no server or no domain is named.
    """
    by = server or mail_server()
    allowed = frozenset(name.lower() for name in (settings().smtp_domains if domains is None else domains))
    if not allowed:
        raise ConfigurationError("send_email may write to nobody: name domains in BORING_SMTP_DOMAINS.")

    async def send_email(
        to: Annotated[str, Field(max_length=254, pattern=ADDRESS, description="one address, as a@b.org")],
        subject: Annotated[str, Field(min_length=1, max_length=200, description="one line")],
        body: Annotated[str, Field(min_length=1, max_length=20_000, description="plain text")],
        key: IdempotencyKey,
    ) -> str:
        """Send an e-mail in plain text to one recipient."""
        if (domain := to.rpartition("@")[2].lower()) not in allowed:
            raise ToolError(f"Mail to {domain} is not allowed; only to {', '.join(sorted(allowed))}.")
        message = _message(by.sender, to, subject=subject, body=body, key=key)
        return f"The mail server took the mail to {to}: {await _hand_over(by, message)}"

    return contract(send_email, effect="idempotent", timeout_s=60, max_concurrency=4, provenance="trusted")


def _message(sender: str, to: str, *, subject: str, body: str, key: str) -> EmailMessage:
    if any(not char.isprintable() for char in subject):
        raise ToolError("The subject has a line break or a control character in it; write it as one line.")
    message = EmailMessage()
    message["Message-ID"] = f"<{key}@{sender.rpartition('@')[2]}>"
    message["Date"] = formatdate(localtime=False, usegmt=True)
    message["From"] = sender
    message["To"] = to
    message["Subject"] = subject
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body.encode(errors="replace").decode(), charset="utf-8", cte="quoted-printable")
    return message


async def _hand_over(server: MailServer, message: EmailMessage) -> str:
    """Return what the server said when it took the message.

    Raises:
        TransientError: it said that it can't now (4xx).
        ToolError: it said that it won't (5xx), or lacks what we need.
        ConnectionError: the connection broke, before or after it took the message.
        TimeoutError: the same, by silence.
    """
    password = server.password.get_secret_value() if server.password else None
    client = SMTP(
        hostname=server.host,
        port=server.port,
        username=server.username,
        password=password,
        timeout=server.timeout_s,
        use_tls=server.security == "tls",
        start_tls=server.security == "starttls",
        tls_context=None if server.security == "none" else system_trust(),
    )
    try:
        await client.connect()
        _, answer = await client.send_message(message)
        with suppress(SMTPException):  # it has the mail; how it says goodbye changes nothing
            await client.quit(timeout=_GOODBYE_S)
    except SMTPRecipientsRefused as error:
        raise _refusal(error.recipients[0]) from error
    except SMTPResponseException as error:
        raise _refusal(error) from error
    except (ConnectionError, TimeoutError):
        raise
    except SMTPException as error:
        raise ToolError(f"The mail server {server.host} can't be used: {error.message}") from error
    finally:
        client.close()
    return answer


def _refusal(error: SMTPResponseException) -> ToolError | TransientError:
    said = f"{error.code} {error.message}"
    if error.code >= _PERMANENT:
        return ToolError(f"The mail server refused the mail: {said}")
    return TransientError(f"The mail server can't take the mail now: {said}")
