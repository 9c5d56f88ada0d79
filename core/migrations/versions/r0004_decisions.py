"""How sure a decision was, such as a router's choice."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the confidence of a decision."""
    op.execute("alter table boring.decision add column confidence double precision")
