"""The channel of a structured answer: an object for whoever reads it, JSON text in the checkpoint."""

import json
import logging
from typing import Annotated, Any, cast, get_type_hints

from langgraph.channels.ephemeral_value import EphemeralValue
from pydantic import BaseModel, ValidationError
from typing_extensions import TypedDict, override

from core.client_errors import named_error
from core.state import AgentState

STRUCTURED_RESPONSE = "structured_response"
"""The key of the validated object in a run's result, as LangChain's agents name it."""
_log = logging.getLogger(__name__)


class ValidatedJson(EphemeralValue[Any]):
    """Takes the JSON text of a Pydantic model, stores the text, and gives an instance at each reading.

    The database only ever holds text, so reading a checkpoint imports no class that a row names. Text that a
    changed class no longer accepts is given as plain JSON data, or as text where it is no JSON, and logged as
    a warning: the thread stays usable.

    Written by `respond`, None where the run gave no answer; empty from the next step of the thread on.
    """

    @property
    @override
    def ValueType(self) -> Any:
        return self.typ | None

    @property
    @override
    def UpdateType(self) -> Any:
        return str | None

    @override
    def get(self) -> Any:
        text: str | None = super().get()
        if text is None:
            return None
        model: type[BaseModel] = self.typ
        try:
            return model.model_validate_json(text)
        except ValidationError as error:
            _log.warning("A stored answer is no %s any more and is given as it is: %s", model.__name__, error)
        except Exception as error:  # noqa: BLE001 - a validator of the model's own may raise anything
            _log.warning("A stored %s can't be validated: %s", model.__name__, named_error(error))
        return _as_data(text)


def _as_data(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def state_with(model: type[BaseModel]) -> type[AgentState]:
    """Return the state of an agent whose answer is an instance of `model`, under `STRUCTURED_RESPONSE`."""
    channels: dict[str, Any] = {
        **get_type_hints(AgentState, include_extras=True),
        STRUCTURED_RESPONSE: Annotated[model | None, ValidatedJson(model)],
    }
    return cast("type[AgentState]", TypedDict("AgentState", channels))  # pyright: ignore[reportArgumentType] - its fields are known at run time
