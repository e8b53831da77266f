"""No certificate but a quorum of stake proves anything: what less than that can make is refused everywhere.

Stakes are unequal, so that heads and stake are not the same; what is forged stands in
``tests/simulation/simnet/forgery.py``.
"""

from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.errors import InvalidCertificate
from consensus.signing import verify_certificate, vote_sign_bytes
from consensus.types import (
    Address,
    BlockId,
    Certificate,
    ChainContext,
    Height,
    Round,
    Validator,
    ValidatorSet,
    VoteType,
)
from tests.simulation.simnet.forgery import Forgers
from tests.simulation.simnet.scheme import CHECKER, address, key_of, sign
from tests.support.effort import examples

CTX = ChainContext(genesis=b"g" * 32, tag=b"shard/0")
OTHER = ChainContext(genesis=b"g" * 32, tag=b"shard/1")
H, R, BLOCK, TRUE = Height(9), Round(2), BlockId(b"F" * 32), BlockId(b"T" * 32)
STAKES = [(1, 1, 1, 40), (40, 1, 1, 1), (1, 1, 1), (1, 1), (1,), (2, 2, 2, 3, 3), (1, 1, 2)]


def signed(who: Address, preimage: bytes) -> bytes:
    return sign(key_of(who), preimage)


def committee(stakes: tuple[int, ...]) -> ValidatorSet:
    return ValidatorSet(
        Validator(address=address(key), power=power) for key, power in enumerate(stakes)
    )


def certificate(validators: ValidatorSet, who: list[Address], ctx=CTX, block=TRUE) -> Certificate:
    """By these, whatever they weigh."""
    preimage = vote_sign_bytes(ctx, VoteType.PRECOMMIT, H, R, block)
    order = [(i, v.address) for i, v in enumerate(validators) if v.address in who]
    return Certificate(
        height=H,
        round=R,
        block_id=block,
        signers=sum(1 << i for i, _ in order),
        signatures=tuple(signed(a, preimage) for _, a in order),
    )


def weight(validators: ValidatorSet, who: list[Address]) -> Fraction:
    """Their share of the stake."""
    stakes = {v.address: v.power for v in validators}
    return Fraction(sum(stakes[a] for a in who), sum(stakes.values()))


@pytest.mark.parametrize("stakes", STAKES)
def test_a_certificate_is_worth_the_stake_that_signed_it(stakes):
    validators = committee(stakes)
    everybody = [v.address for v in validators]
    for size in range(len(everybody) + 1):
        for who in combinations(everybody, size):
            made = certificate(validators, list(who))
            if weight(validators, list(who)) > Fraction(2, 3):
                verify_certificate(CTX, validators, made, CHECKER)
            else:
                with pytest.raises(InvalidCertificate):
                    verify_certificate(CTX, validators, made, CHECKER)


@pytest.mark.parametrize("stakes", STAKES)
def test_less_than_a_quorum_makes_no_certificate(stakes):
    """Whoever pools keys, as long as a third of the stake is not among them."""
    validators = committee(stakes)
    everybody = [v.address for v in validators]
    real = [
        certificate(validators, everybody),
        certificate(validators, everybody, ctx=OTHER, block=BLOCK),
    ]
    lies = set()
    for size in range(len(everybody)):
        for who in combinations(everybody, size):
            if weight(validators, list(who)) > Fraction(2, 3):
                continue
            forgers = Forgers(
                context=CTX, validators=validators, keys=frozenset(who), sign=signed, real=real
            )
            rows = [*forgers.forged(H, BLOCK, R), *forgers.spoilt(real[0])]
            for lie, made in rows:
                with pytest.raises(InvalidCertificate):
                    verify_certificate(CTX, validators, made, CHECKER)
                lies.add(lie)
    assert len(lies) >= (4 if len(stakes) == 1 else 18)


@settings(max_examples=examples(200))
@given(st.data())
def test_a_certificate_is_what_its_signatures_say(data):
    """Any bitmap with any signatures counts exactly if each is its member's and their stake is a quorum."""
    stakes = data.draw(st.lists(st.sampled_from([1, 2, 3, 40, 10**18]), min_size=1, max_size=6))
    validators = committee(tuple(stakes))
    right = vote_sign_bytes(CTX, VoteType.PRECOMMIT, H, R, BLOCK)
    wrong = vote_sign_bytes(CTX, VoteType.PRECOMMIT, H, R, TRUE)
    signers = data.draw(st.integers(0, (1 << len(validators) + 1) - 1))
    owners = data.draw(st.lists(st.integers(0, len(validators) - 1), max_size=len(validators) + 1))
    order = [v.address for v in validators]
    bits = [i for i in range(len(validators) + 1) if signers >> i & 1]
    if data.draw(st.booleans()):  # mostly right
        owners = [i % len(validators) for i in bits]
    words = [data.draw(st.sampled_from([right] * 9 + [wrong])) for _ in owners]
    made = Certificate(
        height=H,
        round=R,
        block_id=BLOCK,
        signers=signers,
        signatures=tuple(signed(order[o], w) for o, w in zip(owners, words, strict=True)),
    )
    true = (
        bits == owners
        and all(w == right for w in words)
        and weight(validators, [order[i] for i in bits]) > Fraction(2, 3)
    )
    try:
        verify_certificate(CTX, validators, made, CHECKER)
    except InvalidCertificate:
        assert not true
    else:
        assert true
