"""What became of spans on their way out, and days of spans that go whole."""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Create the table of counts."""
    op.execute("""
        create table boring.outlet (
            name text not null,
            day date not null default (now() at time zone 'UTC')::date,
            delivered bigint not null default 0,
            dropped bigint not null default 0,
            left_out bigint not null default 0,
            problem text not null default '',
            problem_at timestamptz,
            primary key (name, day)
        )
    """)
