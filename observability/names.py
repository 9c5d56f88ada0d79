"""The names of span attributes. They are our own constants: the published ones have moved before.

Source: OpenTelemetry semantic conventions for generative AI, and for sessions and users.
"""

from typing import Final

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHED_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
CONVERSATION: Final = "gen_ai.conversation.id"
AGENT: Final = "gen_ai.agent.name"
TOOL: Final = "gen_ai.tool.name"
TOOL_CALL: Final = "gen_ai.tool.call.id"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
ERROR_TYPE: Final = "error.type"
SESSION: Final = "session.id"
USER: Final = "user.id"

RUN: Final = "boring.run.id"
TENANT: Final = "boring.tenant"
STEP: Final = "boring.step"
"""The name of a node."""
NUMBER: Final = "boring.step.number"
"""The step of the turn, from 1."""
ATTEMPT: Final = "boring.attempt"
CHECKPOINT: Final = "boring.checkpoint.id"
"""Where a step began: there stands what it wrote, and the checkpoint that follows has the state after it."""
CHECKPOINT_NS: Final = "boring.checkpoint.ns"
"""Of the step's task: the namespace of the graph, and in its last part the task."""
PLACES: Final = (CHECKPOINT, CHECKPOINT_NS)
"""Of use beside the checkpoints only. They are made at random, and may look like a number of somebody."""
OUTCOME: Final = "boring.outcome"
"""How it ended, in the words of the record of runs and of the log of calls."""
COST: Final = "boring.cost.usd"
"""US dollars; missing where the price of the model is not known."""

INVOKE_AGENT: Final = "invoke_agent"
CHAT: Final = "chat"
EXECUTE_TOOL: Final = "execute_tool"
RUN_STEP: Final = "run_step"
"""Of a node; the conventions have none for it."""
