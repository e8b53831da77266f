"""docs/consensus.md says what the code does."""

from consensus.round_state import Step
from tools.consensus_tables import PAGE, generated, tail, transitions


def test_the_generated_parts_are_up_to_date():
    page = PAGE.read_text()
    assert page == generated(page), "run python tools/consensus_tables.py"


def test_nothing_leaves_the_end_and_every_step_can_get_there():
    rows = transitions()
    assert all(row.step is not Step.DECIDED for row in rows)
    assert {row.step for row in rows if row.target is Step.DECIDED} == set(Step) - {Step.DECIDED}


def test_a_prevote_is_never_followed_by_another_in_one_round():
    for row in transitions():
        if "prevote " in row.does and "timeout" not in row.does:
            assert (row.step, row.target) == (Step.PROPOSE, Step.PREVOTE)
        if "precommit " in row.does and "timeout" not in row.does:
            assert (row.step, row.target) == (Step.PREVOTE, Step.PRECOMMIT)


def test_probabilities():
    assert tail(4, 0.25, 2) == 1 - (0.75**4 + 4 * 0.25 * 0.75**3)
    assert tail(3, 0.5, 0) == 1
