"""Keeps tests of a module on one worker where they share something that takes long to start.

Such a module says so by `pytest.mark.xdist_group`. What pytest-xdist itself makes of that is lost since
pytest 9.2: it writes the group to `_nodeid`, which nobody reads any more.
"""

from functools import cache

import pytest
from typing_extensions import override
from xdist.remote import Producer
from xdist.scheduler.loadgroup import LoadGroupScheduling

_MARK = "pytest.mark.xdist_group("


class Grouping(LoadGroupScheduling):
    """Hands out tests one by one, those of a module with a group all at once."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        self._is_grouped = cache(lambda file: _MARK in (config.rootpath / file).read_text(encoding="utf-8"))

    @override
    def _split_scope(self, nodeid: str) -> str:
        file, _, _ = nodeid.partition("::")
        return file if self._is_grouped(file) else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Grouping:
    """Have tests handed out by `Grouping`."""
    return Grouping(config, log)
