"""What a process has done before commands and programs of tests are forked from it: what each would do first.

Modules that read the settings when they are imported, such as `graphs.single`, are no part of it.
"""

import gc
from importlib import import_module

from typer.main import get_command

_MODULES = (
    *("app.commands", "app.feedback_shown", "app.feedback_words", "app.graphs", "app.inbox", "app.learning"),
    *("app.main", "app.memories", "app.rulebook", "app.session", "app.turns", "graphs.checks", "graphs.loop"),
    *("graphs.minds", "graphs.traced", "memory.checkpoints", "memory.documents", "memory.facts"),
    *("memory.indexing", "memory.reading", "memory.reading_html", "memory.reading_pdf", "memory.rules"),
    *("memory.store", "memory.view", "nodes.execute", "nodes.folding", "nodes.learner", "nodes.observe"),
    *("nodes.plan", "nodes.recalling", "nodes.receive", "nodes.recovering", "nodes.respond", "nodes.review"),
    *("nodes.ruling", "observability.calls", "observability.costs", "observability.run_search"),
    *("observability.trace_log", "tools.calculator", "tools.clock", "tools.documents"),
    *("tools.earlier_results", "tools.runtime", "tools.units", "tools.web"),
    *("anyio._backends._asyncio", "httpcore", "jsonschema", "langchain_core.tracers.context"),
    *("langchain_core.tracers.run_collector", "langchain_core.messages.block_translators.langchain_v0"),
    *("langchain_openai", "langchain_text_splitters", "numpy", "openai.lib.streaming.chat"),
    *("openai.resources.chat.completions", "rich._emoji_codes", "rich.markdown"),
    *(
        "mcp.server.lowlevel",
        "mcp.server.stdio",
        "mcp.server.streamable_http_manager",
        "starlette.applications",
    ),
)

gc.disable()
for _module in _MODULES:
    import_module(_module)
get_command(import_module("app.commands").app)
import_module("genai_prices.data_snapshot").get_snapshot()
gc.enable()
gc.freeze()
