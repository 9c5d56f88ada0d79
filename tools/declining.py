"""The tool by which a specialist hands a request back."""

from tools.contract import Tool, contract

DECLINE = "decline"


def decline() -> Tool:
    """Return the tool `decline`. A call of it ends the specialist's turn with the status `declined`."""

    async def decline(reason: str) -> str:
        """Hand the request back, because it is not for you. Give the reason in one sentence."""
        return reason

    return contract(decline, effect="read", provenance="trusted")
