"""Who asks enough members of a committee hears of every block that anybody can have been shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.types import Address, Validator, ValidatorSet
from node.query.frontier import Poll


@st.composite
def decisions(draw: st.DrawFn) -> tuple[ValidatorSet, set[int], set[int], int]:
    """(committee, its faulty members, who signed a decision, the height of that)."""
    powers = draw(st.lists(st.integers(1, 60), min_size=1, max_size=7))
    members = [Validator(address=Address(bytes([i]) * 20), power=p) for i, p in enumerate(powers)]
    committee, total = ValidatorSet(members), sum(powers)
    faulty: set[int] = set()
    for index in draw(st.permutations(range(len(powers)))):
        if 3 * sum(powers[i] for i in {*faulty, index}) < total:
            faulty.add(index)
    order = draw(st.permutations(range(len(powers))))
    signers: set[int] = set()
    for index in order:
        signers.add(index)
        if committee.is_quorum(sum(powers[i] for i in signers)):
            break
    return committee, faulty, signers, draw(st.integers(2, 50))


def answers(
    draw: st.DrawFn, committee: ValidatorSet, faulty: set[int], signers: set[int], height: int
) -> dict[Address, int]:
    """What each says: faulty ones anything, honest ones who signed the height that, others less."""
    out = {}
    for index, member in enumerate(committee):
        if index in faulty:
            out[member.address] = draw(st.sampled_from([0, height - 1, height, 1 << 63]))
        else:
            least = height if index in signers else 0
            out[member.address] = draw(st.integers(least, max(least, height)))
    return out


@given(st.data())
def test_enough_answers_name_every_decision(data: st.DataObject) -> None:
    committee, faulty, signers, height = data.draw(decisions())
    said = answers(data.draw, committee, faulty, signers, height)
    poll = Poll(committee)
    for member in data.draw(st.permutations(sorted(said))):
        poll.answer(member, said[member])
        if poll.enough:
            assert poll.highest >= height


@given(st.data())
def test_all_honest_answers_name_every_decision_and_no_lie(data: st.DataObject) -> None:
    committee, faulty, signers, height = data.draw(decisions())
    said = answers(data.draw, committee, faulty, signers, height)
    poll = Poll(committee)
    for index, member in enumerate(committee):
        if index not in faulty or data.draw(st.booleans()):
            poll.answer(member.address, said[member.address])
    assert poll.enough, "without the faulty ones there are enough"
    assert poll.vouched >= height
    honest = [said[m.address] for i, m in enumerate(committee) if i not in faulty]
    assert poll.vouched <= max(honest), "a lie alone raises nothing"


@pytest.mark.parametrize(("count", "needed"), [(1, 1), (2, 1), (3, 1), (4, 3), (7, 5), (16, 11)])
def test_how_many_of_equals_are_asked(count: int, needed: int) -> None:
    """One of at most three, of which none may be faulty, has signed all that was decided."""
    committee = ValidatorSet(
        Validator(address=Address(bytes([i]) * 20), power=10**18) for i in range(count)
    )
    poll, enough = Poll(committee), []
    for member in committee:
        poll.answer(member.address, 1)
        enough.append(poll.enough)
    assert enough.index(True) + 1 == needed
