"""The wire and storage form of votes, proposals, certificates and evidence.

Fixed layouts, big-endian, one encoding per value; a decoder accepts exactly the bytes that the
encoder makes. The first byte is the kind, so that all of them can share a topic or a log.

=============  ====================================================================================
vote           0x01 · type u8 · height u64 · round u32 · 0x00 | 0x01 block[32] · validator[20] ·
               signature[65]
proposal       0x02 · height u64 · round u32 · (pol_round + 1) u32 · block[32] · proposer[20] ·
               signature[65]
certificate    0x03 · height u64 · round u32 · block[32] · bitmap length u8 · bitmap (bit i of the
               big-endian number is validator i; no leading zero byte) · signature[65] per set bit
evidence       0x04 · length of the first u8 · first · second: two votes or two proposals as above,
               in canonical order (see :mod:`consensus.evidence`)
=============  ====================================================================================
"""

from struct import Struct
from typing import Final

from consensus.errors import CodecError, ContractViolation, InvalidEvidence
from consensus.evidence import Evidence
from consensus.types import (
    ADDRESS_LENGTH,
    BLOCK_ID_LENGTH,
    MAX_HEIGHT,
    MAX_ROUND,
    MAX_VALIDATORS,
    NO_ROUND,
    SIGNATURE_LENGTH,
    Address,
    BlockId,
    Certificate,
    Height,
    Proposal,
    Round,
    Vote,
    VoteType,
)

VOTE_KIND: Final = 1
PROPOSAL_KIND: Final = 2
CERTIFICATE_KIND: Final = 3
EVIDENCE_KIND: Final = 4

# kind, type, height, round, flag, block if the flag is set, validator, signature
_VOTE: Final = Struct(f">BBQIB{BLOCK_ID_LENGTH}s{ADDRESS_LENGTH}s{SIGNATURE_LENGTH}s")
_NIL_VOTE: Final = Struct(f">BBQIB{ADDRESS_LENGTH}s{SIGNATURE_LENGTH}s")

_VOTE_TYPES: Final = {type.value: type for type in VoteType}

_MAX_BITMAP: Final = MAX_VALIDATORS // 8
MAX_VOTE_SIZE: Final = _VOTE.size
MAX_PROPOSAL_SIZE: Final = 1 + 8 + 4 + 4 + BLOCK_ID_LENGTH + ADDRESS_LENGTH + SIGNATURE_LENGTH
MAX_CERTIFICATE_SIZE: Final = (
    1 + 8 + 4 + BLOCK_ID_LENGTH + 1 + _MAX_BITMAP + MAX_VALIDATORS * SIGNATURE_LENGTH
)
MAX_EVIDENCE_SIZE: Final = 2 + 2 * max(MAX_VOTE_SIZE, MAX_PROPOSAL_SIZE)


class _Reader:
    """A cursor over a message that must be used up to its last byte."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes, kind: int, limit: int) -> None:
        if len(data) > limit:
            raise CodecError(f"message of {len(data)} bytes, at most {limit}")
        self._data = data
        self._position = 0
        if self.uint(1) != kind:
            raise CodecError(f"message of kind {data[0]}, expected {kind}")

    def take(self, length: int) -> bytes:
        end = self._position + length
        if end > len(self._data):
            raise CodecError(f"message ends after {len(self._data)} bytes")
        taken = bytes(self._data[self._position : end])
        self._position = end
        return taken

    def uint(self, length: int) -> int:
        return int.from_bytes(self.take(length), "big")

    def round(self) -> Round:
        value = self.uint(4)
        if value > MAX_ROUND:
            raise CodecError(f"round {value} is out of range")
        return Round(value)

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._position)

    def finish(self) -> None:
        if self._position != len(self._data):
            raise CodecError(f"{len(self._data) - self._position} bytes after the message")


def _in_range(value: int, maximum: int) -> int:
    if not 0 <= value <= maximum:
        raise ContractViolation(f"{value} is not in 0..{maximum}")
    return value


def _uint(value: int, length: int, maximum: int) -> bytes:
    return _in_range(value, maximum).to_bytes(length, "big")


def _fixed(value: bytes, length: int) -> bytes:
    if len(value) != length:
        raise ContractViolation(f"{len(value)} bytes instead of {length}")
    return value


def encode_vote(vote: Vote) -> bytes:
    """Encode a vote, at most ``MAX_VOTE_SIZE`` bytes.

    Raises:
        ContractViolation: a field is out of range.
    """
    _in_range(vote.height, MAX_HEIGHT)
    _in_range(vote.round, MAX_ROUND)
    validator = _fixed(vote.validator, ADDRESS_LENGTH)
    signature = _fixed(vote.signature, SIGNATURE_LENGTH)
    place = VOTE_KIND, vote.type, vote.height, vote.round
    if vote.block_id is None:
        return _NIL_VOTE.pack(*place, 0, validator, signature)
    return _VOTE.pack(*place, 1, _fixed(vote.block_id, BLOCK_ID_LENGTH), validator, signature)


def decode_vote(data: bytes) -> Vote:
    """Decode a vote. The signature is not checked.

    Raises:
        CodecError: the bytes are not what ``encode_vote`` makes of any vote.
    """
    layout, flag = (_VOTE, 1) if len(data) == _VOTE.size else (_NIL_VOTE, 0)
    if len(data) != layout.size:
        raise CodecError(f"vote of {len(data)} bytes: {_NIL_VOTE.size}, or at most {_VOTE.size}")
    kind, type_code, height, round, found, *block, validator, signature = layout.unpack(data)
    if kind != VOTE_KIND:
        raise CodecError(f"message of kind {kind}, expected {VOTE_KIND}")
    type = _VOTE_TYPES.get(type_code)
    if type is None:
        raise CodecError(f"vote of type {type_code}")
    if round > MAX_ROUND:
        raise CodecError(f"round {round} is out of range")
    if found != flag:
        raise CodecError(f"block flag {found} in a vote of {len(data)} bytes")
    return Vote(
        type=type,
        height=Height(height),
        round=Round(round),
        block_id=BlockId(block[0]) if flag else None,
        validator=Address(validator),
        signature=signature,
    )


def encode_proposal(proposal: Proposal) -> bytes:
    """Encode a proposal, always ``MAX_PROPOSAL_SIZE`` bytes.

    Raises:
        ContractViolation: a field is out of range, or ``pol_round`` is not an earlier round.
    """
    if not NO_ROUND <= proposal.pol_round < proposal.round:
        raise ContractViolation(f"pol_round {proposal.pol_round} in round {proposal.round}")
    return b"".join(
        (
            bytes((PROPOSAL_KIND,)),
            _uint(proposal.height, 8, MAX_HEIGHT),
            _uint(proposal.round, 4, MAX_ROUND),
            _uint(proposal.pol_round + 1, 4, MAX_ROUND),
            _fixed(proposal.block_id, BLOCK_ID_LENGTH),
            _fixed(proposal.proposer, ADDRESS_LENGTH),
            _fixed(proposal.signature, SIGNATURE_LENGTH),
        )
    )


def decode_proposal(data: bytes) -> Proposal:
    """Decode a proposal. Neither the signature nor the turn is checked.

    Raises:
        CodecError: the bytes are not what ``encode_proposal`` makes of any proposal.
    """
    reader = _Reader(data, PROPOSAL_KIND, MAX_PROPOSAL_SIZE)
    height = Height(reader.uint(8))
    round = reader.round()
    pol_round = reader.uint(4) - 1
    if pol_round >= round:
        raise CodecError(f"pol_round {pol_round} in round {round}")
    block_id = BlockId(reader.take(BLOCK_ID_LENGTH))
    proposer = Address(reader.take(ADDRESS_LENGTH))
    signature = reader.take(SIGNATURE_LENGTH)
    reader.finish()
    return Proposal(
        height=height,
        round=round,
        block_id=block_id,
        pol_round=pol_round,
        proposer=proposer,
        signature=signature,
    )


def encode_certificate(certificate: Certificate) -> bytes:
    """Encode a certificate, at most ``MAX_CERTIFICATE_SIZE`` bytes.

    Raises:
        ContractViolation: a field is out of range, there is no signer, or the signatures are not as
            many as the signers.
    """
    signers = certificate.signers
    if not 0 < signers < 1 << MAX_VALIDATORS:
        raise ContractViolation("the signers are not 1..1024 validators")
    if signers.bit_count() != len(certificate.signatures):
        raise ContractViolation("the signatures are not as many as the signers")
    bitmap = signers.to_bytes((signers.bit_length() + 7) // 8, "big")
    return b"".join(
        (
            bytes((CERTIFICATE_KIND,)),
            _uint(certificate.height, 8, MAX_HEIGHT),
            _uint(certificate.round, 4, MAX_ROUND),
            _fixed(certificate.block_id, BLOCK_ID_LENGTH),
            bytes((len(bitmap),)),
            bitmap,
            *(_fixed(signature, SIGNATURE_LENGTH) for signature in certificate.signatures),
        )
    )


def decode_certificate(data: bytes) -> Certificate:
    """Decode a certificate. Neither signatures nor stake are checked.

    Raises:
        CodecError: the bytes are not what ``encode_certificate`` makes of any certificate.
    """
    reader = _Reader(data, CERTIFICATE_KIND, MAX_CERTIFICATE_SIZE)
    height = Height(reader.uint(8))
    round = reader.round()
    block_id = BlockId(reader.take(BLOCK_ID_LENGTH))
    length = reader.uint(1)
    if not 0 < length <= _MAX_BITMAP:
        raise CodecError(f"bitmap of {length} bytes")
    bitmap = reader.take(length)
    if bitmap[0] == 0:
        raise CodecError("bitmap starts with a zero byte")
    signers = int.from_bytes(bitmap, "big")
    joined = reader.take(SIGNATURE_LENGTH * signers.bit_count())
    reader.finish()
    signatures = tuple(
        joined[at : at + SIGNATURE_LENGTH] for at in range(0, len(joined), SIGNATURE_LENGTH)
    )
    return Certificate(
        height=height,
        round=round,
        block_id=block_id,
        signers=signers,
        signatures=signatures,
    )


def encode_evidence(evidence: Evidence) -> bytes:
    """Encode evidence, at most ``MAX_EVIDENCE_SIZE`` bytes.

    Raises:
        ContractViolation: a field is out of range.
    """
    first, second = (_encode_message(m) for m in (evidence.first, evidence.second))
    return b"".join((bytes((EVIDENCE_KIND, len(first))), first, second))


def decode_evidence(data: bytes) -> Evidence:
    """Decode evidence. Its signatures are not checked; that the messages contradict each other is.

    Raises:
        CodecError: the bytes are not what ``encode_evidence`` makes of any evidence.
    """
    reader = _Reader(data, EVIDENCE_KIND, MAX_EVIDENCE_SIZE)
    first = _decode_message(reader.take(reader.uint(1)))
    second = _decode_message(reader.rest())
    try:
        return Evidence(first=first, second=second)
    except InvalidEvidence as error:
        raise CodecError(f"no evidence: {error}") from None


def _encode_message(message: Vote | Proposal) -> bytes:
    return encode_vote(message) if isinstance(message, Vote) else encode_proposal(message)


def _decode_message(data: bytes) -> Vote | Proposal:
    return decode_proposal(data) if data[:1] == bytes((PROPOSAL_KIND,)) else decode_vote(data)
