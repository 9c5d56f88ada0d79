"""The schema `boring` of the database, and the steps that lead to it.

`versions/` holds one file for each step, in plain SQL; the newest one's number stands in `HEAD`.
Nothing else creates or changes a table of ours. LangGraph's own tables are its own business, but their
creation is serialised by `setup_lock` too.
"""

from core.migrations.apply import apply_migrations as apply_migrations
from core.migrations.lock import setup_lock as setup_lock
from core.migrations.names import HEAD as HEAD
