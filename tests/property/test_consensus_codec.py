"""Every value has one encoding, and everything else is refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.codec import (
    MAX_CERTIFICATE_SIZE,
    MAX_PROPOSAL_SIZE,
    MAX_VOTE_SIZE,
    decode_certificate,
    decode_proposal,
    decode_vote,
    encode_certificate,
    encode_proposal,
    encode_vote,
)
from consensus.errors import CodecError, ContractViolation
from consensus.types import MAX_HEIGHT, MAX_ROUND, Certificate, Proposal, Vote, VoteType

heights = st.integers(0, MAX_HEIGHT)
rounds = st.integers(0, MAX_ROUND)
blocks = st.binary(min_size=32, max_size=32)
addresses = st.binary(min_size=20, max_size=20)
signatures = st.binary(min_size=65, max_size=65)

votes = st.builds(
    Vote,
    type=st.sampled_from(VoteType),
    height=heights,
    round=rounds,
    block_id=st.none() | blocks,
    validator=addresses,
    signature=signatures,
)


@st.composite
def proposals(draw: st.DrawFn) -> Proposal:
    round = draw(rounds)
    return Proposal(
        height=draw(heights),
        round=round,
        block_id=draw(blocks),
        pol_round=draw(st.integers(-1, round - 1)),
        proposer=draw(addresses),
        signature=draw(signatures),
    )


@st.composite
def certificates(draw: st.DrawFn) -> Certificate:
    members = draw(st.sets(st.integers(0, 1023), min_size=1, max_size=8))
    count = len(members)
    return Certificate(
        height=draw(heights),
        round=draw(rounds),
        block_id=draw(blocks),
        signers=sum(1 << i for i in members),
        signatures=tuple(draw(st.lists(signatures, min_size=count, max_size=count))),
    )


CODECS = {
    "vote": (votes, encode_vote, decode_vote, MAX_VOTE_SIZE),
    "proposal": (proposals(), encode_proposal, decode_proposal, MAX_PROPOSAL_SIZE),
    "certificate": (
        certificates(),
        encode_certificate,
        decode_certificate,
        MAX_CERTIFICATE_SIZE,
    ),
}
each_codec = pytest.mark.parametrize("kind", CODECS)


@each_codec
@given(data=st.data())
def test_round_trip(kind: str, data: st.DataObject):
    values, encode, decode, limit = CODECS[kind]
    value = data.draw(values)
    encoded = encode(value)
    assert decode(encoded) == value
    assert len(encoded) <= limit


@each_codec
@given(data=st.data())
def test_short_and_trailing_bytes_are_refused(kind: str, data: st.DataObject):
    values, encode, decode, _ = CODECS[kind]
    encoded = encode(data.draw(values))
    with pytest.raises(CodecError):
        decode(encoded[: data.draw(st.integers(0, len(encoded) - 1))])
    with pytest.raises(CodecError):
        decode(encoded + data.draw(st.binary(min_size=1, max_size=70)))


@each_codec
@given(data=st.data())
def test_a_changed_byte_is_refused_or_another_value(kind: str, data: st.DataObject):
    values, encode, decode, _ = CODECS[kind]
    value = data.draw(values)
    encoded = bytearray(encode(value))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        changed = decode(bytes(encoded))
    except CodecError:
        return
    assert changed != value
    assert encode(changed) == encoded, "what decodes is canonical"


@each_codec
@given(noise=st.binary(max_size=300))
def test_noise_is_refused(kind: str, noise: bytes):
    _, _, decode, _ = CODECS[kind]
    with pytest.raises(CodecError):
        decode(noise)


@each_codec
def test_noise_inside_is_refused_or_canonical(kind: str):
    values, encode, decode, _ = CODECS[kind]
    read = 0

    @given(value=values, noise=st.binary(max_size=70), data=st.data())
    def check(value: Any, noise: bytes, data: st.DataObject) -> None:
        nonlocal read
        encoded = encode(value)
        at = data.draw(st.integers(0, len(encoded)))
        spoilt = encoded[:at] + noise + encoded[at + len(noise) :]
        try:
            found = decode(spoilt)
        except CodecError:
            return
        assert encode(found) == spoilt
        read += spoilt != encoded

    check()
    assert read, "all noise was refused"


@each_codec
def test_size_is_checked_before_anything_else(kind: str):
    _, _, decode, limit = CODECS[kind]
    with pytest.raises(CodecError, match="at most"):
        decode(bytes(limit + 1))


@given(value=votes)
def test_kinds_are_not_confused(value: Vote):
    encoded = encode_vote(value)
    for decode in (decode_proposal, decode_certificate):
        with pytest.raises(CodecError):
            decode(encoded)


def test_the_largest_certificate():
    full = Certificate(
        height=MAX_HEIGHT,
        round=MAX_ROUND,
        block_id=b"b" * 32,
        signers=(1 << 1024) - 1,
        signatures=(b"s" * 65,) * 1024,
    )
    encoded = encode_certificate(full)
    assert len(encoded) == MAX_CERTIFICATE_SIZE
    assert decode_certificate(encoded) == full


def test_values_out_of_range_are_our_bug():
    vote = Vote(
        type=VoteType.PREVOTE,
        height=0,
        round=0,
        block_id=None,
        validator=b"v" * 20,
        signature=b"s" * 64,
    )
    with pytest.raises(ContractViolation):
        encode_vote(vote)
    proposal = Proposal(
        height=0, round=1, block_id=b"b" * 32, pol_round=1, proposer=b"p" * 20, signature=b"s" * 65
    )
    with pytest.raises(ContractViolation):
        encode_proposal(proposal)
    for signers, signatures in ((0, ()), (1 << 1024, (b"s" * 65,)), (3, (b"s" * 65,))):
        with pytest.raises(ContractViolation):
            encode_certificate(
                Certificate(
                    height=0, round=0, block_id=b"b" * 32, signers=signers, signatures=signatures
                )
            )
