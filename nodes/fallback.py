"""Fallback models: the first one in line that can be used answers."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from langchain_core.messages import AIMessage
from langgraph.errors import GraphBubbleUp

from core.errors import BoringError, TransientError
from core.process import current_process
from core.protocols import Model, ModelSource
from nodes.faults import is_misconfigured, is_refused, is_unhealthy, is_unreachable, may_fall_back
from tools.breakers import Breakers, failure_kind

Ask = Callable[[Model], Awaitable[AIMessage]]
"""Asks one model for its plan, in the form and with the context that its profile says."""
_log = logging.getLogger(__name__)


class ModelRefusedError(BoringError):
    """The circuit breaker of the last model in line is open."""


@dataclass(slots=True)
class Line:
    """Models that are asked for a plan one after the other, until one has planned.

    Attributes:
        step: that is planned, for the record of decisions.
        names: of the models that were looked at, in order.
        reasons: why they did not plan; of the one that did there is none.
    """

    models: Sequence[ModelSource]
    breakers: Breakers
    step: int = 0
    names: list[str] = field(default_factory=list[str], init=False)
    reasons: list[str] = field(default_factory=list[str], init=False)

    async def plan(self, ask: Ask) -> AIMessage:
        """Return the plan of the first model that can be used.

        Raises:
            ModelRefusedError: the last one's breaker is open.
            Exception: what the last one failed with, or what no other model could do better with.
        """
        for place, source in enumerate(self.models, start=1):
            try:
                model = await source()
                self.names.append(_distinct(model.profile.name, self.names))
                return await self._asked(model, _breaker(model, self.names[-1]), ask)
            except GraphBubbleUp:
                raise
            except Exception as error:
                if len(self.names) < place:  # it could not be opened
                    self.names.append(f"fallback {place - 1}" if place > 1 else "the model")
                self.reasons.append(_reason(error))
                refused = isinstance(error, ModelRefusedError)
                if place == len(self.models) or not (refused or may_fall_back(error)):
                    raise
                self._pass_over(error)
        raise ValueError("there is no model to ask")

    def _pass_over(self, error: Exception) -> None:
        level = logging.ERROR if is_misconfigured(error) else logging.WARNING
        passed = self.names[-1], self.reasons[-1]
        _log.log(level, "Model %s is passed over: %s. The next in line is asked.", *passed)

    async def _asked(self, model: Model, name: str, ask: Ask) -> AIMessage:
        if refusal := await self.breakers.admit(name):
            raise ModelRefusedError(refusal.message)
        try:
            return await self._answered(model, name, ask)
        finally:
            await self.breakers.give_back(name)

    async def _answered(self, model: Model, name: str, ask: Ask) -> AIMessage:
        try:
            message = await ask(model)
        except GraphBubbleUp:
            raise
        except Exception as error:
            if is_unreachable(error):
                (await current_process()).forget(model)
            if is_unhealthy(error):
                await self.breakers.failed(name, error, step=self.step)
            elif is_refused(error):
                await self.breakers.succeeded(name, step=self.step)
            if isinstance(error, TimeoutError):  # of the client, not of the run
                raise TransientError(f"the model {model.profile.name} did not answer in time.") from error
            raise
        await self.breakers.succeeded(name, step=self.step)
        return message


def _breaker(model: Model, distinct: str) -> str:
    """Return the name of a model's breaker: models of one name at two endpoints have nothing to share."""
    endpoint = model.profile.endpoint
    return f"model:{model.profile.name} at {endpoint}" if endpoint else f"model:{distinct}"


def _distinct(name: str, taken: Sequence[str]) -> str:
    """Tell models of one name in one line apart."""
    same = sum(one == name or one.startswith(f"{name}#") for one in taken)
    return f"{name}#{same + 1}" if same else name


def _reason(error: Exception) -> str:
    if isinstance(error, ModelRefusedError):
        return "its circuit breaker is open"
    if is_misconfigured(error):
        return f"{failure_kind(error)}, check its name and key"
    return failure_kind(error)
