"""Values of the protocol: validators, votes, proposals, certificates, timeouts.

The engine sees a block only as its 32-byte id. ``None`` in place of a block id is the paper's *nil*.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NewType, final

from consensus.errors import InvalidChainContext, InvalidValidatorSet
from consensus.rotation import proposer_sequence, rotation_weights

Height = NewType("Height", int)
"""Position of a decision in its chain, 0 <= height < 2**64."""
Round = NewType("Round", int)
"""Attempt to decide a height, 0 <= round <= MAX_ROUND."""
Address = NewType("Address", bytes)
"""Ethereum address of a consensus key, 20 bytes."""
BlockId = NewType("BlockId", bytes)
"""Hash of a block, 32 bytes."""

ADDRESS_LENGTH: Final = 20
BLOCK_ID_LENGTH: Final = 32
GENESIS_LENGTH: Final = 32
SIGNATURE_LENGTH: Final = 65
"""r || s || v of a recoverable secp256k1 signature."""
MAX_VALIDATORS: Final = 1024
MAX_HEIGHT: Final = 2**64 - 1
MAX_ROUND: Final = 2**31 - 1
NO_ROUND: Final = -1
"""The paper's -1: no proof-of-lock round, not locked, nothing valid."""
MAX_TAG_LENGTH: Final = 32
FIRST_TURNS: Final = 128
"""Turns of a rotation that are computed at first."""


class VoteType(IntEnum):
    """The two voting steps of a round."""

    PREVOTE = 1
    PRECOMMIT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainContext:
    """The chain that a signature is bound to besides its message, so that it is valid on no other chain.

    Args:
        genesis: hash of the network's genesis, 32 bytes. Its chain id is not enough: networks with one chain
            id and the same keys would share signatures.
        tag: which of the network's chains, e.g. ``b"beacon"`` or ``b"shard/0"``; without NUL.
        era: how often the chain was taken back to an earlier height before this one was decided. Its
            heights come again, and signatures made for them before must not count twice.

    Raises:
        InvalidChainContext: one of them is out of range, or ``signed_tag`` has not 1 to 32 bytes.
    """

    genesis: bytes
    tag: bytes
    era: int = 0

    def __post_init__(self) -> None:
        if len(self.genesis) != GENESIS_LENGTH:
            raise InvalidChainContext(f"genesis hash of {len(self.genesis)} bytes instead of 32")
        if self.era < 0:
            raise InvalidChainContext(f"era {self.era} is negative")
        if not self.tag or len(self.signed_tag) > MAX_TAG_LENGTH or 0 in self.tag:
            raise InvalidChainContext(f"chain tag {self.tag!r} is not 1..32 bytes without NUL")

    @property
    def signed_tag(self) -> bytes:
        """Tag and era as they are signed, before the padding with NUL to a word."""
        return b"%s+%d" % (self.tag, self.era) if self.era else self.tag


@dataclass(frozen=True, slots=True, kw_only=True)
class Validator:
    """A consensus key and its voting power (stake in any fixed unit, at least 1).

    Raises:
        InvalidValidatorSet: the address is not 20 bytes or the power is not positive.
    """

    address: Address
    power: int

    def __post_init__(self) -> None:
        if len(self.address) != ADDRESS_LENGTH:
            raise InvalidValidatorSet(f"address of {len(self.address)} bytes instead of 20")
        if self.power <= 0:
            raise InvalidValidatorSet(f"power {self.power} of 0x{self.address.hex()} is not > 0")


@final
class ValidatorSet:
    """The validators of one height: immutable, ordered by address, at most 1024.

    All thresholds are exact integer arithmetic over the total power n: a quorum is more than 2n/3,
    and more than n/3 contains at least one honest validator as long as f < n/3 are faulty.

    Raises:
        InvalidValidatorSet: empty, more than 1024, or an address twice.
    """

    __slots__ = ("_index", "_period", "_turns", "_validators", "_weights", "total_power")

    total_power: Final[int]

    def __init__(self, validators: Iterable[Validator]) -> None:
        ordered = tuple(sorted(validators, key=lambda validator: validator.address))
        if not ordered:
            raise InvalidValidatorSet("a validator set cannot be empty")
        if len(ordered) > MAX_VALIDATORS:
            raise InvalidValidatorSet(f"{len(ordered)} validators, at most {MAX_VALIDATORS}")
        index = {validator.address: i for i, validator in enumerate(ordered)}
        if len(index) != len(ordered):
            raise InvalidValidatorSet("an address is in the validator set twice")
        self._validators = ordered
        self._index = index
        self.total_power = sum(validator.power for validator in ordered)
        self._weights = rotation_weights([validator.power for validator in ordered])
        self._period = sum(self._weights)
        self._turns: tuple[int, ...] = ()

    @property
    def validators(self) -> tuple[Validator, ...]:
        """The validators by ascending address; their positions are the certificate's bits."""
        return self._validators

    def index_of(self, address: Address) -> int | None:
        """Position of the address in ``validators``, or None for a stranger."""
        return self._index.get(address)

    def power_of(self, address: Address) -> int:
        """Power of the address, 0 for a stranger."""
        index = self._index.get(address)
        return 0 if index is None else self._validators[index].power

    def is_quorum(self, power: int) -> bool:
        """More than two thirds of the stake (the paper's 2f + 1)."""
        return 3 * power > 2 * self.total_power

    def is_skip(self, power: int) -> bool:
        """More than one third of the stake (the paper's f + 1): one of them is honest."""
        return 3 * power > self.total_power

    def proposer(self, height: Height, round: Round) -> Validator:
        """The validator whose turn it is: turn number ``height + round`` of the rotation.

        See :mod:`consensus.rotation`. The sequence is computed when it is first needed, and kept: its
        beginning, which is all that short chains need, or all of it.
        """
        turn = (height + round) % self._period
        if turn >= len(self._turns):
            wanted = FIRST_TURNS if turn < FIRST_TURNS else self._period
            self._turns = proposer_sequence(self._weights, wanted)
        return self._validators[self._turns[turn]]

    def __len__(self) -> int:
        return len(self._validators)

    def __iter__(self) -> Iterator[Validator]:
        return iter(self._validators)

    def __contains__(self, address: object) -> bool:
        return address in self._index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ValidatorSet) and self._validators == other._validators

    def __hash__(self) -> int:
        return hash(self._validators)

    def __repr__(self) -> str:
        return f"ValidatorSet({len(self)} validators, power {self.total_power})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """A signed prevote or precommit; ``block_id`` None votes for nil."""

    type: VoteType
    height: Height
    round: Round
    block_id: BlockId | None
    validator: Address
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A signed proposal of a block id.

    ``pol_round`` (the paper's validRound) is -1 for a new block, else the earlier round in which the
    proposer saw more than 2/3 of prevotes for this block (its proof of lock).
    """

    height: Height
    round: Round
    block_id: BlockId
    pol_round: int
    proposer: Address
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """More than 2/3 of precommits for one block in one round: proof that it is decided.

    Bit i of ``signers`` is the i-th validator of the height's set; ``signatures`` are theirs, in the
    order of ascending i. Two certificates of one height name one block, but may differ in signers.
    """

    height: Height
    round: Round
    block_id: BlockId
    signers: int
    signatures: tuple[bytes, ...]


class TimeoutKind(IntEnum):
    """The message that a timeout waits for."""

    PROPOSE = 1
    """The round's proposal (paper line 57)."""
    PREVOTE = 2
    """One block's quorum of prevotes, after a quorum of any (line 61)."""
    PRECOMMIT = 3
    """One block's quorum of precommits, after a quorum of any (line 65)."""
    REBROADCAST = 4
    """Any progress of the round. Not in the paper, which assumes that no message is lost; it repeats
    for as long as the round lasts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout:
    """A timer as data: the host arms it and reports when it has elapsed."""

    kind: TimeoutKind
    height: Height
    round: Round
