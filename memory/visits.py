"""Tells apart the agents of one place that an invocation asks the very same, beside or after each other.

A place is named by the nodes that lead to it. A killed run is found again by that name and by what it was
asked, so that two agents which share both get names of their own here.
"""

from collections import OrderedDict
from typing import Final

_MOST_THREADS: Final = 1000


class Visits:
    """The visits that one worker's invocations pay to the places of their graphs."""

    def __init__(self) -> None:
        self._threads: OrderedDict[str, tuple[object, dict[tuple[str, str], list[str]]]] = OrderedDict()

    def named(self, thread_id: str, invocation: object, *, place: str, namespace: str, turn_id: str) -> str:
        """Return the name of the place, as seen by one agent.

        After a crash the visits are counted anew. That finds each its own where all have to be run again, and
        makes no difference among equals; it can't know of a visit that was over before the crash.

        Args:
            thread_id: the thread.
            invocation: an object that all steps of the invocation share.
            place: the thread and the nodes that lead to the agent.
            namespace: where in the invocation it runs, by the tasks that lead to it.
            turn_id: names what it is asked.
        """
        known, visits = self._threads.get(thread_id, (None, {}))
        if known is not invocation:
            visits = {}
        self._threads[thread_id] = (invocation, visits)
        self._threads.move_to_end(thread_id)
        while len(self._threads) > _MOST_THREADS:
            self._threads.popitem(last=False)
        visitors = visits.setdefault((place, turn_id), [])
        if namespace not in visitors:
            visitors.append(namespace)
        number = visitors.index(namespace) + 1
        return place if number == 1 else f"{place}#{number}"
