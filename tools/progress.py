"""How a tool says how far it is, while it runs."""

from langgraph.config import get_stream_writer


def report_progress(text: str) -> None:
    """Send one line of progress to whoever streams this run in the mode `custom`.

    Outside of a graph it does nothing, so that a tool can be called by hand.
    """
    try:
        write = get_stream_writer()
    except RuntimeError:
        return
    write({"progress": text})
