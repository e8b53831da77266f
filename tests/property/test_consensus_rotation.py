"""Proposers take turns in proportion to their stake, spread out, and the same everywhere."""

from collections import Counter
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from consensus.rotation import MAX_PERIOD, proposer_sequence, rotation_weights
from consensus.types import Address, Height, Round, Validator, ValidatorSet

small_powers = st.lists(st.integers(1, 30), min_size=1, max_size=8)
any_powers = st.lists(st.integers(1, 10**30), min_size=1, max_size=12)


def make_set(powers: list[int]) -> ValidatorSet:
    return ValidatorSet(
        Validator(address=Address(bytes([i]) * 20), power=power) for i, power in enumerate(powers)
    )


@given(powers=small_powers)
def test_a_period_has_as_many_turns_as_weight(powers: list[int]):
    weights = rotation_weights(powers)
    turns = Counter(proposer_sequence(weights))
    assert [turns[i] for i in range(len(powers))] == list(weights)
    assert all(
        Fraction(w, sum(weights)) == Fraction(p, sum(powers))
        for w, p in zip(weights, powers, strict=True)
    )


@given(powers=small_powers)
def test_the_priorities_end_where_they_began(powers: list[int]):
    weights = rotation_weights(powers)
    assert proposer_sequence(weights) * 2 == _literal(list(weights), 2 * sum(weights))


def _literal(powers: list[int], turns: int) -> tuple[int, ...]:
    """The loop of proposer-selection.md, word for word."""
    accum = [0] * len(powers)
    chosen = []
    for _ in range(turns):
        accum = [a + p for a, p in zip(accum, powers, strict=True)]
        proposer = accum.index(max(accum))
        accum[proposer] -= sum(powers)
        chosen.append(proposer)
    return tuple(chosen)


@given(powers=small_powers)
def test_turns_are_spread(powers: list[int]):
    """In any stretch from the start, nobody is a whole turn ahead of its share."""
    weights = rotation_weights(powers)
    total = sum(weights)
    seen = Counter()
    for turn, index in enumerate(proposer_sequence(weights), start=1):
        seen[index] += 1
        assert seen[index] < Fraction(weights[index] * turn, total) + 1


@given(powers=small_powers, factor=st.integers(1, 10**18))
def test_only_proportions_matter(powers: list[int], factor: int):
    assert rotation_weights(powers) == rotation_weights([power * factor for power in powers])


@given(powers=any_powers)
def test_huge_stakes_are_rounded_to_a_short_period(powers: list[int]):
    weights = rotation_weights(powers)
    assert sum(weights) <= MAX_PERIOD + len(powers)
    assert min(weights) >= 1
    for weight, power in zip(weights, powers, strict=True):
        error = abs(Fraction(weight, sum(weights)) - Fraction(power, sum(powers)))
        assert error < Fraction(len(powers), MAX_PERIOD)


@given(powers=any_powers, height=st.integers(0, 2**63), round=st.integers(0, 2**31 - 1))
def test_a_function_of_the_set_and_height_plus_round(powers: list[int], height: int, round: int):
    once, again = make_set(powers), make_set(powers)
    expected = once.proposer(Height(height), Round(round))
    assert again.proposer(Height(height + round), Round(0)) == expected
    assert expected in once.validators


def test_the_example_of_the_specification():
    """p1 (1) and p2 (3): p2 p1 p2 p2 over and over; the tie of the second turn goes to p1."""
    validators = make_set([1, 3])
    order = [validators.proposer(Height(h), Round(0)).power for h in range(8)]
    assert order == [3, 1, 3, 3] * 2


def test_equal_stakes_take_turns_by_address():
    validators = make_set([5, 5, 5])
    order = [
        validators.index_of(validators.proposer(Height(h), Round(0)).address) for h in range(6)
    ]
    assert order == [0, 1, 2] * 2
