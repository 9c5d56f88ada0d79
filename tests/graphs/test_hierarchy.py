"""A supervisor and its teams: who is asked what, in which order, within which limits."""

from typing import Any

import pytest
from langgraph.types import Command

from core.context import RunContext
from core.errors import ConfigurationError
from evals.scripted_model import Reply, ToolCall
from graphs.hierarchy import Team, create_hierarchy
from graphs.single import create_agent
from guardrails.approval import always
from tests.graphs.transcripts import transcript
from tools.context import run_context
from tools.contract import contract

CONFIG: Any = {"configurable": {"thread_id": "office"}}
ASKED: Any = {"messages": [("user", "Refund order 7")]}


def task(team: str, name: str, goal: str, **more: Any) -> ToolCall:
    return ToolCall(team, {"task": name, "goal": goal, **more})


def tasks(*calls: ToolCall) -> Reply:
    return Reply(tool_calls=calls)


class Till:
    """Gives money back for real."""

    def __init__(self) -> None:
        self.refunds: list[int] = []

    async def refund(self, amount: int) -> str:
        """Give money back."""
        self.refunds.append(amount)
        return f"refunded {amount}"


@pytest.fixture
def till() -> Till:
    return Till()


@pytest.fixture
async def office(saver: Any, speaking: Any, till: Till) -> Any:
    """Return a function that makes an office of a supervisor's, a researcher's and a clerk's lines."""

    async def make(boss: Any, research: Any = (), records: Any = (), *, refund: Any = None) -> Any:
        tools = [refund or contract(till.refund)]
        teams = [
            Team("research", "Finds facts.", create_agent(llm=await speaking(research), name="finder")),
            Team("records", "Refunds.", create_agent(llm=await speaking(records), tools=tools, name="clerk")),
        ]
        return create_hierarchy(llm=await speaking(boss), teams=teams, checkpointer=saver)

    return make


REFUND_7 = tasks(ToolCall("refund", {"amount": 7}))


async def test_a_task_that_needs_the_report_of_another_gets_it(office: Any, till: Till) -> None:
    plan = tasks(
        task("records", "pay", "Refund what the policy says", after=["policy"], inputs="order 7"),
        task("research", "policy", "Find the policy", expected_output="an amount"),
    )
    agent = await office([plan, "Research found 7, records paid."], ["It is 7."], [REFUND_7, "Done."])
    result = await agent.ainvoke(ASKED, CONFIG)
    assert transcript(result["messages"]) == (
        "user: Refund order 7\n"
        "  -> records task=pay, goal=Refund what the policy says, after=['policy'], inputs=order 7\n"
        "  -> research task=policy, goal=Find the policy, expected_output=an amount\n"
        "  research says: It is 7.\n"
        "  records says: Done.\n"
        "agent: Research found 7, records paid."
    )
    state = await agent.aget_state(CONFIG)
    assert state.next == ()
    assert till.refunds == [7]
    assert [(one["agent"], one["task"], one["text"]) for one in result["answer"]["contributions"]] == [
        ("research", "policy", "It is 7."),
        ("records", "pay", "Done."),
    ]


async def test_a_team_reads_its_task_and_the_reports_before_it_and_nothing_else(
    saver: Any, speaking: Any
) -> None:
    plan = tasks(
        task("first", "one", "Count", inputs="all of them", expected_output="a number"),
        task("second", "two", "Double it", after=["one"]),
    )
    first, second = await speaking(["It is 4."]), await speaking(["It is 8."])
    teams = [
        Team("first", "Counts.", create_agent(llm=first)),
        Team("second", "Doubles.", create_agent(llm=second)),
    ]
    agent = create_hierarchy(llm=await speaking([plan, "8."]), teams=teams, checkpointer=saver)
    await agent.ainvoke(ASKED, CONFIG)
    read = [llm.metadata["scripted"].requests[0]["messages"][1:] for llm in (first, second)]
    assert [[message["content"] for message in one] for one in read] == [
        ["Count\n\nWhat you need to know: all of them\n\nReport: a number"],
        ["Double it\n\nReport of one: It is 4."],
    ]


@pytest.mark.parametrize(
    ("calls", "told"),
    [
        ([task("research", "a", "x", after=["b"]), task("research", "b", "y", after=["a"])], "wait for each"),
        ([task("research", "a", "x", after=["zzz"])], "no tasks of this plan"),
        ([task("research", "a", "x", after=["a"])], "wait for each other: a after a"),
        ([task("research", f"t{n}", "x") for n in range(9)], "A plan may hand out 8 tasks"),
        ([ToolCall("research", {"task": "a"})], "goal: Field required"),
        ([ToolCall("sales", {"task": "a", "goal": "b"})], "The tools are: records, research."),
    ],
)
async def test_a_plan_that_can_not_be_carried_out_is_told_what_is_wrong_and_goes_on(
    office: Any, calls: list[ToolCall], told: str
) -> None:
    agent = await office([tasks(*calls), "I gave up."], ["Found."] * 8)
    result = await agent.ainvoke(ASKED, CONFIG)
    assert result["answer"]["text"].startswith("I gave up.")
    failed = [one.text for one in result["messages"] if one.type == "tool" and one.status == "error"]
    assert any(told in text for text in failed)


async def test_a_team_that_fails_is_told_of_harms_no_sibling_and_is_never_dropped(office: Any) -> None:
    plan = tasks(task("research", "a", "Find it"), task("records", "b", "Count"))
    agent = await office([plan, "Only half is done."], [Reply(status=500)] * 9, ["Four."])
    result = await agent.ainvoke(ASKED, CONFIG)
    assert "records says: Four." in transcript(result["messages"])
    assert "research failed" in transcript(result["messages"])
    assert result["answer"]["text"].startswith("Only half is done.\n\nNot done: a (research, failed: ")


async def test_a_task_that_succeeds_when_it_is_given_again_counts_as_done(office: Any) -> None:
    once, again = tasks(task("research", "a", "Find it")), tasks(task("records", "a", "Find it"))
    agent = await office([once, again, "Found."], [Reply(status=401)], ["Here."])
    result = await agent.ainvoke(ASKED, CONFIG)
    assert result["answer"]["text"] == "Found."
    assert [(one["agent"], one["status"]) for one in result["answer"]["contributions"]] == [
        ("records", "answered")
    ]


async def test_questions_of_parallel_teams_are_answered_by_id_and_finished_siblings_rest(
    saver: Any, speaking: Any, till: Till
) -> None:
    asking = contract(till.refund, approval=always)
    left, right = await speaking([REFUND_7, "L."]), await speaking([REFUND_7, "R."])
    third = await speaking(["T."])
    inner = [
        Team("left", "Left.", create_agent(llm=left, tools=[asking], name="l")),
        Team("right", "Right.", create_agent(llm=right, tools=[asking], name="r")),
        Team("third", "Third.", create_agent(llm=third, name="t")),
    ]
    lead = create_hierarchy(
        llm=await speaking([tasks(*(task(one.name, one.name, "go") for one in inner)), "Led."]), teams=inner
    )
    boss = await speaking([tasks(task("lead", "all", "go")), "Done."])
    agent = create_hierarchy(llm=boss, teams=[Team("lead", "Leads.", lead)], checkpointer=saver)
    result = await agent.ainvoke(ASKED, CONFIG)
    first, second = result["__interrupt__"]
    approve = {"decisions": [{"type": "approve"}], "by": "ann"}
    result = await agent.ainvoke(Command(resume={second.id: approve}), CONFIG)
    assert [one.id for one in result["__interrupt__"]] == [first.id]
    assert till.refunds == [7]
    result = await agent.ainvoke(Command(resume={first.id: approve}), CONFIG)
    assert (result["answer"]["text"], till.refunds) == ("Done.", [7, 7])
    assert len(third.metadata["scripted"].requests) == 1


async def test_teams_share_what_is_left_and_what_they_do_not_use_comes_back(
    saver: Any, speaking: Any
) -> None:
    limits: dict[str, int] = {}

    async def note(name: str) -> str:
        """Note the limit."""
        limits[name] = run_context().max_tokens
        return "noted"

    async def team(name: str) -> Team:
        llm = await speaking([Reply(tool_calls=(ToolCall("note", {"name": name}),)), "ok"])
        return Team(name, name, create_agent(llm=llm, tools=[contract(note, effect="read")], name=name))

    teams = [await team(name) for name in ("a", "b", "c")]
    plan = tasks(task("a", "a", "x", budget_share=0.5), task("b", "b", "x"), task("c", "c", "x", after=["a"]))
    agent = create_hierarchy(llm=await speaking([plan, "ok"]), teams=teams, checkpointer=saver)
    result = await agent.ainvoke(ASKED, CONFIG, context=RunContext(max_tokens=100_000))
    assert result["answer"]["status"] == "answered"
    assert 49_000 < limits["a"] <= 50_000
    assert 14_000 < limits["b"] <= 15_000
    assert 78_000 < limits["c"] <= 80_000


def named(name: str, **parts: Any) -> Team:
    return Team(name, "Does things.", **parts) if parts else Team(name, "Does things.", create_agent())


@pytest.mark.parametrize(
    ("teams", "told"),
    [
        ([], "hierarchy 'hierarchy' has nobody"),
        ([named("a"), named("a")], "worker 1, 'a', shares its name with another"),
        ([Team("a", " ", create_agent())], "worker 1, 'a', has no description"),
        ([Team("a b", "x", create_agent())], "'a b', has a name that can't be"),
        ([named("plan")], "'plan', has a name that the loop needs"),
        ([Team("a", "x")], "team hierarchy > a needs a graph, or teams"),
        ([Team("a", "x", create_agent(), [named("b")])], "one of the two"),
        ([named("a", teams=[named("b", teams=[named("b")])])], "team hierarchy > a > b > b: teams lead each"),
        ([named("a", teams=[named("c")]), named("b", teams=[named("c")])], "the name 'c' is used twice"),
        ([named("a", graph="text")], "'a', has a str as graph"),
    ],
)
def test_a_hierarchy_that_can_not_work_is_refused_when_it_is_built(teams: list[Team], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        create_hierarchy(teams=teams)


def test_teams_that_lead_each_other_in_a_circle_are_refused() -> None:
    below: list[Team] = []
    a = Team("a", "x", teams=[Team("b", "y", teams=below)])
    below.append(a)
    with pytest.raises(ConfigurationError, match="team hierarchy > a > b > a: teams lead each other"):
        create_hierarchy(teams=[a])


def test_every_team_shows_in_the_drawing_of_the_graph() -> None:
    graph = create_hierarchy(teams=[named("a", teams=[named("b")]), named("c")])
    assert [name for name, _ in graph.get_subgraphs(recurse=True)] == ["a", "a|b", "c"]
    assert "c\\3aplan" in graph.get_graph(xray=2).draw_mermaid()


async def test_what_was_not_begun_is_named_in_the_answer(office: Any) -> None:
    plan = tasks(task("research", "a", "Find it"), task("records", "b", "Count", after=["a"]))
    agent = await office([plan, "Nothing."], [Reply(status=401)])
    text = (await agent.ainvoke(ASKED, CONFIG))["answer"]["text"]
    assert "Not done: a (research, failed: " in text
    assert "Not done: b (records, refused: records was not asked. It comes after ['a'], which failed." in text


async def test_two_tasks_of_one_name_are_both_told_of(office: Any) -> None:
    plan = tasks(task("research", "a", "Find it"), task("records", "a", "Count"))
    agent = await office([plan, "Counted."], [Reply(status=401)], ["Four."])
    result = await agent.ainvoke(ASKED, CONFIG)
    assert result["answer"]["text"].startswith("Counted.\n\nNot done: a (research, failed: ")
    assert len(result["answer"]["contributions"]) == 2


async def test_teams_that_wait_for_each_other_do_not_spend_more_than_there_is(office: Any) -> None:
    names = [f"t{number}" for number in range(6)]
    chain = [task("research", name, "Find", after=names[:number][-1:]) for number, name in enumerate(names)]
    agent = await office([tasks(*chain), "Half."], [Reply(text="Found.", prompt_tokens=900)] * 6)
    result = await agent.ainvoke(ASKED, CONFIG, context=RunContext(max_tokens=3000))
    assert result["turn"]["input_tokens"] + result["turn"]["output_tokens"] < 3000 + 900
    assert "tokens of this request" in result["answer"]["text"]
