"""A document says which embedding model its passages were embedded by."""

from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    """Add the model's name; opening the knowledge base notes those of documents of before that are known."""
    op.execute("alter table boring.document add column embedding_model text")
    op.execute(
        "comment on column boring.document.embedding_model is"
        " 'Null where it is not known; the name of the table tells a part of it only'"
    )
