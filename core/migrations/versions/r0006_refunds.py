"""The ledger of refunds, which the operations office writes."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the ledger."""
    op.execute("""
        create table boring.refund (
            id bigint generated always as identity primary key,
            tenant text not null,
            order_no text not null,
            amount_eur numeric(12, 2) not null check (amount_eur > 0),
            reason text not null,
            created_by text not null,
            created_at timestamptz not null default now()
        )
    """)
    op.execute("create index refund_by_order on boring.refund (tenant, order_no)")
