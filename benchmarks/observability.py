"""What tracing costs a run: CPU of the process with everything on, beside LangSmith's and OpenInference's.

The run has two model calls and one tool call. Each way of tracing gets its runs in turns with the others, on
the same Postgres, and the time in which what it has queued is sent counts as its own. A turn begins when the
process is quiet, so that no way pays for what another one's threads still do, and is compared with the runs
without tracing of its own round. The last line is JSON.
"""

import argparse
import asyncio
import gc
import json
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tracers import LangChainTracer
from langgraph.graph.state import CompiledStateGraph
from langsmith import Client
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pydantic import SecretStr
from rich.console import Console
from typing_extensions import override

from core.process import opened_process
from core.settings import Settings
from evals.crashes.place import embedded_database
from graphs.single import create_agent
from memory.checkpoints import postgres_checkpointer
from observability.tracing import current_tracing
from tools.contract import contract

LIMIT_MS: Final = 2.5
"""Most milliseconds of CPU that our tracing may add to a run."""
_SINK: Final = """
import http.server, sys
class Sink(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length") or 0)) if "content-length" in self.headers \\
            else self.chunks()
        self.answer(b"{}")
    def do_GET(self):
        self.answer(
            b'{"batch_ingest_config": {"use_multipart_endpoint": true, "size_limit": 100,'
            b' "size_limit_bytes": 20971520, "scale_up_nthreads_limit": 16, "scale_up_qsize_trigger": 1000,'
            b' "scale_down_nempty_trigger": 4}}'
        )
    def chunks(self):
        while size := int(self.rfile.readline().strip() or b"0", 16):
            self.rfile.read(size + 2)
        self.rfile.readline()
    def answer(self, body):
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
print(server.server_address[1], flush=True)
server.serve_forever()
"""
"""Takes what is sent, in a process of its own."""

_QUIET_S: Final = 0.05
_QUIET_CPU_S: Final = 0.001
"""A process that takes no more CPU in `_QUIET_S` has nothing left to do."""


class Quick(BaseChatModel):
    """A model that answers at once: first with a call, then with words."""

    @property
    @override
    def _llm_type(self) -> str:
        return "quick"

    @override
    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        usage: Any = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}
        if isinstance(messages[-1], ToolMessage):
            message = AIMessage("It is 42.", usage_metadata=usage)
        else:
            call: Any = {"name": "multiply", "args": {"a": 6, "b": 7}, "id": uuid.uuid4().hex}
            message = AIMessage("", tool_calls=[call], usage_metadata=usage)
        return ChatResult(generations=[ChatGeneration(message=message)])

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._generate(messages)


async def multiply(a: int, b: int) -> str:
    """Multiply two numbers."""
    return str(a * b)


Way = Callable[[int], Awaitable[None]]


async def measured(url: str, sink: str, *, rounds: int, runs: int) -> dict[str, list[float]]:
    """Return the CPU of a run in milliseconds, round by round, by the way it is traced, `bare` among them."""
    async with opened_process(Settings(database_url=SecretStr(url))):
        saver = await postgres_checkpointer()
        agent = create_agent(llm=Quick(), tools=[contract(multiply, effect="read")], checkpointer=saver)
        bare: Any = CompiledStateGraph(**agent.__dict__)
        async with _langsmith(bare, sink) as langsmith, _openinference(bare, sink) as openinference:
            ways = {"bare": _plain(bare), "ours": _ours(agent), **langsmith, **openinference}
            found: dict[str, list[float]] = {name: [] for name in ways}
            for number in range(rounds + 1):
                for name, way in list(ways.items())[:: -1 if number % 2 else 1]:
                    await _quiet()
                    began = time.process_time()
                    await way(runs)
                    if number:  # the first one warms up
                        found[name].append(1000 * (time.process_time() - began) / runs)
    return found


async def _quiet() -> None:
    """Wait until the process has nothing left to do."""
    gc.collect()
    began = -1.0
    while time.process_time() - began > _QUIET_CPU_S:
        began = time.process_time()
        await asyncio.sleep(_QUIET_S)


async def _asked(graph: Any, **config: Any) -> None:
    configurable = {"thread_id": uuid.uuid4().hex}
    await graph.ainvoke({"messages": [("user", "6 times 7?")]}, {"configurable": configurable, **config})


def _plain(graph: Any) -> Way:
    async def run(runs: int) -> None:
        for _ in range(runs):
            await _asked(graph)

    return run


def _ours(agent: Any) -> Way:
    async def run(runs: int) -> None:
        for _ in range(runs):
            await _asked(agent)
        await (await current_tracing()).flush()

    return run


@asynccontextmanager
async def _langsmith(graph: Any, sink: str) -> AsyncGenerator[dict[str, Way]]:
    client = Client(api_url=sink, api_key="key")

    async def run(runs: int) -> None:
        for _ in range(runs):
            await _asked(graph, callbacks=[LangChainTracer(client=client)])
        await asyncio.to_thread(client.flush)

    yield {"langsmith": run}
    client.cleanup()


@asynccontextmanager
async def _openinference(graph: Any, sink: str) -> AsyncGenerator[dict[str, Way]]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{sink}/v1/traces")))

    async def run(runs: int) -> None:
        instrumentor = LangChainInstrumentor()
        instrumentor.instrument(tracer_provider=provider)
        try:
            for _ in range(runs):
                await _asked(graph)
            await asyncio.to_thread(provider.force_flush)
        finally:
            instrumentor.uninstrument()

    yield {"openinference": run}
    await asyncio.to_thread(provider.shutdown)


def main() -> int:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="how often each way gets its turn")
    parser.add_argument("--runs", type=int, default=20, help="runs of a turn")
    given = parser.parse_args()
    with subprocess.Popen([sys.executable, "-c", _SINK], stdout=subprocess.PIPE, text=True) as sink:
        try:
            address = f"http://127.0.0.1:{sink.stdout.readline().strip() if sink.stdout else ''}"
            with embedded_database() as url:
                found = asyncio.run(measured(url, address, rounds=given.rounds, runs=given.runs))
        finally:
            sink.terminate()
    bare = found.pop("bare")
    console = Console(width=120)
    console.print(f"A run without tracing takes {statistics.median(bare):.2f} ms of CPU.", highlight=False)
    figures: dict[str, float] = {}
    for way, each in found.items():
        added = [cpu - without for cpu, without in zip(each, bare, strict=True)]
        low, middle, high = statistics.quantiles(added, n=4)
        console.print(
            f"{way} adds {middle:.2f} ms, in half of the rounds {low:.2f} to {high:.2f}", highlight=False
        )
        figures["cpu_ms_added" if way == "ours" else f"cpu_ms_added_{way}"] = middle
    for name, value in figures.items():
        print(f"{name}={value:.3f}")
    print(json.dumps(figures))
    return 0 if figures["cpu_ms_added"] <= LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())
