"""Decisions that name the span in which they were made."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the span, and the agent that decided."""
    op.execute("""
        alter table boring.decision
            add column trace_id text, add column span_id text, add column agent text
    """)
