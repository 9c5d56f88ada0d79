"""How long work tells how far it is."""

from typing import Protocol


class Progress(Protocol):
    """Draws how far a fetch is."""

    def __call__(self, *, done: int, total: int, what: str) -> None:
        """Say that `done` of `total` bytes are here, and what is going on."""
        ...
