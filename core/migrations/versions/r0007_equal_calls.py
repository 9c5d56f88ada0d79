"""What calls are compared by: their validated arguments, however a model has spelled them."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the validated arguments; calls from before are compared by what the model wrote."""
    op.execute("alter table boring.effect add column equal_by jsonb")
