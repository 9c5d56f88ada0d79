"""The tools that give money back: rows of a ledger in our own database, which somebody pays out."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from core.process import current_process
from core.protocols import Example
from core.text import storable_text
from guardrails.approval import ApprovalPolicy, never
from tools.context import run_context
from tools.contract import Tool, contract
from tools.injection import Transaction

OrderNo = Annotated[str, Field(min_length=1, max_length=60, description="the number of the order")]
Amount = Annotated[float, Field(gt=0, le=1_000_000, description="in EUR, such as 45.50")]
Reason = Annotated[str, Field(min_length=1, max_length=500, description="why, in one line")]


_PAY_BACK = "Pay 12.50 EUR back for order 31, it came late"


async def refund_order(
    order_no: OrderNo, amount_eur: Amount, reason: Reason, transaction: Transaction
) -> str:
    """Refund an order, in full or in part; returns the number of the refund."""
    who = run_context()
    found = await transaction.execute(
        "insert into boring.refund (tenant, order_no, amount_eur, reason, created_by)"
        " values (%s, %s, %s, %s, %s) returning id, amount_eur",
        (
            who.tenant,
            storable_text(order_no),
            Decimal(str(amount_eur)).quantize(Decimal("0.01")),
            storable_text(reason),
            who.user,
        ),
    )
    row = await found.fetchone()
    if row is None:
        raise RuntimeError("the ledger returned no row for a refund")
    return f"Refund {row['id']}: {row['amount_eur']} EUR for order {order_no}."


async def list_refunds(order_no: OrderNo) -> str:
    """List the refunds of an order: number, amount, reason, day."""
    database = await (await current_process()).database()
    async with database.pool.connection() as connection:
        found = await connection.execute(
            "select id, amount_eur, reason, created_at::date as day from boring.refund"
            " where tenant = %s and order_no = %s order by id",
            (run_context().tenant, storable_text(order_no)),
        )
        rows = await found.fetchall()
    lines = [f"{row['id']}: {row['amount_eur']} EUR on {row['day']}, {row['reason']}" for row in rows]
    return "\n".join(lines) or f"Order {order_no} has no refunds."


def refunds(*, approval: ApprovalPolicy = never) -> tuple[Tool, Tool]:
    """Return the tools `refund_order` and `list_refunds`.

    A refund commits together with its record, so it is made once whatever is killed when.

    Args:
        approval: which refunds people have to agree to; see `guardrails.approval`.
    """
    return (
        contract(
            refund_order,
            effect="transactional",
            timeout_s=10,
            approval=approval,
            provenance="trusted",
            examples=(Example(_PAY_BACK, {"order_no": "31", "amount_eur": 12.5, "reason": "late"}),),
        ),
        contract(
            list_refunds,
            effect="read",
            timeout_s=10,
            examples=(Example("What was refunded for order 31?", {"order_no": "31"}),),
        ),
    )
