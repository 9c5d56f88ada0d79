"""The store of the server. `langgraph.json` names this file, which the server loads under a name of its own.

So nothing else is defined here: a class would exist a second time.
"""

from memory.store import MemoryStore

store = MemoryStore()
