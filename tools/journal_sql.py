"""The statements of the journal: one for each commit."""

from typing import LiteralString

IS_OURS: LiteralString = """
select 1 from boring.thread_lease where thread_id = %(thread_id)s and worker = %(worker)s for share
"""
_EQUAL: LiteralString = """
earlier.thread_id = %(thread_id)s and earlier.tool = %(tool)s and earlier.key <> %(key)s
and coalesce(earlier.equal_by, earlier.arguments) = %(equal_by)s::jsonb
and earlier.call_id <> all(%(siblings)s) and earlier.key <> all(%(under_way)s)
"""
"""An earlier call that is equal, and neither stands in the same message nor is being made right now."""
_IN_DOUBT: LiteralString = """
(earlier.outcome is null or earlier.result @> '{"doubt": true}')
and not exists (
    select from boring.effect settled
    where settled.thread_id = earlier.thread_id and settled.outcome = 'ok'
        and settled.idempotency_key = earlier.idempotency_key)
"""
DOUBTFUL: LiteralString = f"""
select coalesce(earlier.result ->> 'text', '') from boring.effect earlier
where {_EQUAL} and %(thread_id)s <> '' and not %(again)s and {_IN_DOUBT}
    and (earlier.effect = 'unsafe' or (earlier.effect = 'idempotent' and earlier.run_id <> %(run_id)s))
order by earlier.intended_at limit 1
"""  # noqa: S608 - put together from constants
"""An `idempotent` call that is repeated within its run has the same key, and leaves nothing to doubt."""
INTEND: LiteralString = f"""
with lease as ({IS_OURS}),
held as (select %(thread_id)s = '' or exists (select from lease) as held),
recorded as (
    insert into boring.plan (place, basis, plan_id, turn_id, run_id, messages, turn)
    select %(place)s, %(basis)s::text, %(plan_id)s, %(turn_id)s, %(plan_run_id)s, %(messages)s, %(turn)s
    from held where held and %(basis)s::text is not null
    on conflict (place, basis) do nothing
), fresh as (
    insert into boring.effect
        (key, thread_id, run_id, call_id, tool, effect, arguments, equal_by, idempotency_key)
    select %(key)s, %(thread_id)s, %(run_id)s, %(call_id)s, %(tool)s, %(effect)s, %(arguments)s, %(equal_by)s,
    coalesce((
        select earlier.idempotency_key from boring.effect earlier
        where {_EQUAL} and earlier.run_id = %(run_id)s and earlier.effect = 'idempotent' and {_IN_DOUBT}
        order by earlier.intended_at limit 1), %(key)s)
    from held where held
    on conflict (key) do update set outcome = null, attempt = effect.attempt + 1, intended_at = now()
    where effect.outcome = 'withdrawn'
    returning idempotency_key, attempt
)
select held.held, fresh.idempotency_key as fresh_key, fresh.attempt as fresh_attempt,
       effect.idempotency_key, effect.attempt, effect.outcome, effect.result, effect.resolved_by,
       plan.plan_id as known_plan, effect.intended_at, (
           {DOUBTFUL}
       ) as doubtful
from held left join fresh on true
left join boring.effect on effect.key = %(key)s
left join boring.plan on plan.place = %(place)s and plan.basis = %(basis)s
"""  # noqa: S608 - put together from constants
RECORD: LiteralString = f"""
with lease as ({IS_OURS}), recorded as (
    insert into boring.plan (place, basis, plan_id, turn_id, run_id, messages, turn)
    select %(place)s, %(basis)s::text, %(plan_id)s, %(turn_id)s, %(plan_run_id)s, %(messages)s, %(turn)s
    from lease where %(basis)s::text is not null
    on conflict (place, basis) do update set plan_id = plan.plan_id returning plan_id
)
select recorded.plan_id from lease left join recorded on true
"""  # noqa: S608 - put together from constants
FINISH: LiteralString = """
update boring.effect set outcome = %(outcome)s, result = %(result)s, resolved_by = %(by)s, finished_at = now()
where key = %(key)s and outcome is null and attempt = coalesce(%(attempt)s, attempt)
"""
REARM: LiteralString = f"""
with lease as ({IS_OURS})
update boring.effect set attempt = attempt + 1, intended_at = now()
where key = %(key)s and attempt = %(attempt)s and outcome is null
    and (%(thread_id)s = '' or exists (select from lease))
returning attempt
"""  # noqa: S608 - put together from constants
CLEAR_DOUBTS: LiteralString = f"""
update boring.effect earlier set outcome = coalesce(outcome, 'unknown'),
    finished_at = coalesce(finished_at, now()), resolved_by = 'a later, equal call',
    result = coalesce(result, '{{"outcome": "unknown", "text": "", "sources": []}}') || '{{"doubt": false}}'
where {_EQUAL} and earlier.effect in ('unsafe', 'idempotent')
    and (earlier.outcome is null or earlier.result @> '{{"doubt": true}}')
"""  # noqa: S608 - put together from constants
