"""Fallback models: the first one in line that can be used answers."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and how it came about.

    Attributes:
        names: of the models that were looked at, in order; the last one planned.
        reasons: why each of the others did not.
    """

    message: AIMessage
    names: tuple[str, ...]
    reasons: tuple[str, ...]


async def first_to_plan(models: Sequence[ModelSource], ask: Ask, breakers: Breakers) -> Planned:
    """Return the plan of the first model that can be used.

    Raises:
        ModelRefusedError: the last one's breaker is open.
        Exception: what the last one failed with, or what no other model could do better with.
    """
    names: list[str] = []
    reasons: list[str] = []
    for place, source in enumerate(models, start=1):
        try:
            model = await source()
            names.append(_distinct(model.profile.name, names))
            message = await _asked(model, _breaker(model, names[-1]), ask, breakers)
        except GraphBubbleUp:
            raise
        except Exception as error:
            if len(names) < place:
                names.append(f"fallback {place - 1}")  # it could not be opened
            if place == len(models) or not (isinstance(error, ModelRefusedError) or may_fall_back(error)):
                raise
            reasons.append(_reason(error))
            level = logging.ERROR if is_misconfigured(error) else logging.WARNING
            _log.log(level, "Model %s is passed over: %s. The next in line is asked.", names[-1], reasons[-1])
        else:
            return Planned(message, tuple(names), tuple(reasons))
    raise ValueError("there is no model to ask")


async def _asked(model: Model, name: str, ask: Ask, breakers: Breakers) -> AIMessage:
    if refusal := await breakers.admit(name):
        raise ModelRefusedError(refusal.message)
    try:
        return await _answered(model, name, ask, breakers)
    finally:
        await breakers.give_back(name)


async def _answered(model: Model, name: str, ask: Ask, breakers: Breakers) -> AIMessage:
    try:
        message = await ask(model)
    except GraphBubbleUp:
        raise
    except Exception as error:
        if is_unreachable(error):
            (await current_process()).forget(model)
        if is_unhealthy(error):
            await breakers.failed(name, error)
        elif is_refused(error):
            await breakers.succeeded(name)
        if isinstance(error, TimeoutError):  # of the client, not of the run
            raise TransientError(f"the model {model.profile.name} did not answer in time.") from error
        raise
    await breakers.succeeded(name)
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
