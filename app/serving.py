"""The command `serve`."""


def serve() -> None:
    """Run the agents as a server, for LangGraph Studio and the SDK."""
