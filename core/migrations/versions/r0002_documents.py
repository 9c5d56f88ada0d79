"""What a run was asked under, and indexed documents.

Their passages stand in a table of their own for each embedding model, made by `memory.documents`.
"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Give runs their context, and create the list of indexed documents."""
    op.execute("alter table boring.run add column context jsonb not null default '{}'")
    op.execute("""
        create table boring.document (
            tenant text not null,
            source text not null,
            chunk_table text not null,
            content_hash text not null,
            chunks int not null,
            indexed_at timestamptz not null default now(),
            primary key (tenant, source, chunk_table)
        )
    """)
