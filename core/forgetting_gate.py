"""A gate for each user: those who write down what a run leaves behind pass it together, forgetting alone.

Without it a run could end between two statements of forgetting, and leave the user's words or spans behind.
"""

from psycopg import AsyncConnection
from psycopg.rows import DictRow

_ENTER = """
select case when %(alone)s::bool then pg_advisory_xact_lock(number)::text
    else pg_advisory_xact_lock_shared(number)::text end
from (
    select hashtextextended(jsonb_build_array('boring user', %(tenant)s::text, %(user)s::text)::text, 0)
) as gate (number)
"""


async def pass_gate(
    connection: AsyncConnection[DictRow], tenant: str, user: str, *, alone: bool = False
) -> None:
    """Wait until nobody forgets the user, and let nobody begin to until the open transaction ends.

    It comes first in a transaction: who holds nothing else while they wait can't wait in a circle.

    Args:
        connection: in an open transaction.
        tenant: whose user.
        user: as `RunContext.user` names them.
        alone: nobody else is let in either, as forgetting needs it.
    """
    await connection.execute(_ENTER, {"tenant": tenant, "user": user, "alone": alone})
