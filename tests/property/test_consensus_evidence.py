"""Evidence survives its encoding and has one form."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.codec import MAX_EVIDENCE_SIZE, decode_evidence, encode_evidence
from consensus.errors import CodecError, InvalidEvidence
from consensus.evidence import Evidence, make_evidence
from consensus.types import MAX_HEIGHT, MAX_ROUND, Proposal, Vote, VoteType

blocks = st.binary(min_size=32, max_size=32)
few_blocks = st.sampled_from([bytes([i]) * 32 for i in range(3)])
signatures = st.binary(min_size=65, max_size=65)
heights = st.integers(0, MAX_HEIGHT)
keys = st.sampled_from([bytes([i]) * 20 for i in range(4)])


@st.composite
def vote_pairs(draw: st.DrawFn) -> tuple[Vote, Vote]:
    first = Vote(
        type=draw(st.sampled_from(VoteType)),
        height=draw(heights),
        round=draw(st.integers(0, MAX_ROUND)),
        block_id=draw(st.none() | few_blocks),
        validator=draw(keys),
        signature=draw(signatures),
    )
    block_id = draw(st.none() | few_blocks)
    return first, replace(first, block_id=block_id, signature=draw(signatures))


@st.composite
def proposal_pairs(draw: st.DrawFn) -> tuple[Proposal, Proposal]:
    round = draw(st.integers(0, MAX_ROUND))
    pols = st.integers(-1, min(round - 1, 2))
    first = Proposal(
        height=draw(heights),
        round=round,
        block_id=draw(few_blocks),
        pol_round=draw(pols),
        proposer=draw(keys),
        signature=draw(signatures),
    )
    second = replace(
        first, block_id=draw(few_blocks), pol_round=draw(pols), signature=draw(signatures)
    )
    return first, second


def made(pair: tuple[Vote, Vote] | tuple[Proposal, Proposal]) -> Evidence | None:
    try:
        return make_evidence(*pair)
    except InvalidEvidence:
        return None


pairs = vote_pairs() | proposal_pairs()
evidence = pairs.map(made).filter(lambda found: found is not None)


@given(pair=pairs)
def test_two_messages_are_evidence_if_and_only_if_they_say_different_things(pair):
    first, second = pair
    same = replace(first, signature=b"") == replace(second, signature=b"")
    found = made(pair)
    assert (found is None) == same
    assert found == made((second, first))


@given(found=evidence)
def test_round_trip(found: Evidence):
    encoded = encode_evidence(found)
    assert decode_evidence(encoded) == found
    assert len(encoded) <= MAX_EVIDENCE_SIZE


@given(found=evidence, data=st.data())
def test_a_changed_byte_is_refused_or_another_value(found: Evidence, data: st.DataObject):
    encoded = bytearray(encode_evidence(found))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        changed = decode_evidence(bytes(encoded))
    except CodecError:
        return
    assert changed != found
    assert encode_evidence(changed) == encoded


@given(noise=st.binary(max_size=400))
def test_noise_is_refused(noise: bytes):
    with pytest.raises(CodecError):
        decode_evidence(b"\4" + noise)


def test_noise_inside_is_refused_or_canonical():
    read = 0

    @given(found=evidence, noise=st.binary(max_size=70), data=st.data())
    def check(found: Evidence, noise: bytes, data: st.DataObject) -> None:
        nonlocal read
        encoded = encode_evidence(found)
        at = data.draw(st.integers(0, len(encoded)))
        spoilt = encoded[:at] + noise + encoded[at + len(noise) :]
        try:
            value = decode_evidence(spoilt)
        except CodecError:
            return
        assert encode_evidence(value) == spoilt
        read += spoilt != encoded

    check()
    assert read, "all noise was refused"
