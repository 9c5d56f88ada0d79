"""What a check of `boring doctor` finds."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        name: what was looked at.
        status: `later` means that it is not there yet and comes by itself.
        found: what is there.
        advice: what to do; empty where nothing is to be done.
    """

    name: str
    status: Literal["ok", "later", "fails"]
    found: str
    advice: str = ""
