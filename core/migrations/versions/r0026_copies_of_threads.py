"""A thread that was copied from another one says who had asked something there."""

from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Note the users with the copy: what tells them may be gone from the first thread by then."""
    op.execute("""
        create table boring.thread_copy (
            thread_id text not null,
            tenant text not null,
            user_id text not null,
            primary key (thread_id, tenant, user_id)
        )
    """)
    op.execute(
        "comment on table boring.thread_copy is"
        " 'Who had asked something in a thread when it was copied to this one'"
    )
    op.execute("create index thread_copy_of_user on boring.thread_copy (tenant, user_id)")
