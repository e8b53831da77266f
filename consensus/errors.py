"""Exceptions of the consensus package.

The base says whose mistake it is, and so what the host does about it::

    ConsensusError
    ├── PeerFault                what a peer sent is wrong: drop it, score the peer
    │   ├── CodecError           bytes that are not the canonical encoding of anything
    │   ├── InvalidSignature     the signature does not recover to the claimed key
    │   ├── NotAValidator        the claimed key has no stake at this height
    │   ├── InvalidProposal      a proposal that breaks the rules by itself
    │   │   └── WrongProposer    it is not this key's turn
    │   ├── InvalidCertificate   a certificate that proves nothing; see ``reason``
    │   └── InvalidEvidence      two messages that do not contradict each other; see ``reason``
    ├── ConfigurationError       genesis or network parameters are wrong: tell the user
    │   ├── InvalidValidatorSet
    │   ├── InvalidChainContext
    │   └── InvalidTimeouts
    └── ContractViolation        our own host broke the engine's contract: a bug
"""

from enum import Enum


class ConsensusError(Exception):
    """Base of everything this package raises on purpose."""


class PeerFault(ConsensusError):
    """Input from the network is wrong. Never a reason to stop the node."""


class CodecError(PeerFault, ValueError):
    """The bytes are not the canonical encoding of the expected message."""


class InvalidSignature(PeerFault):
    """The signature does not recover to the key that the message names."""


class NotAValidator(PeerFault):
    """The message names a key outside the validator set of its height."""


class InvalidProposal(PeerFault):
    """The proposal contradicts itself (for example ``pol_round >= round``)."""


class WrongProposer(InvalidProposal):
    """The proposal comes from a validator whose turn it is not."""


class CertificateFault(Enum):
    """Why a certificate was refused."""

    UNKNOWN_SIGNER = "the bitmap names a validator outside the set"
    SIGNATURE_COUNT = "the bitmap and the signatures differ in number"
    NO_QUORUM = "the signers hold no more than two thirds of the stake"
    BAD_SIGNATURE = "a signature does not recover to its signer"
    MIXED_VOTES = "the votes are not precommits for one block in one round"


class InvalidCertificate(PeerFault):
    """The certificate does not prove a decision of this validator set."""

    def __init__(self, reason: CertificateFault, detail: str = "") -> None:
        super().__init__(f"{reason.value}{': ' + detail if detail else ''}")
        self.reason = reason


class EvidenceFault(Enum):
    """Why two messages are no evidence."""

    MIXED_MESSAGES = "a vote and a proposal do not contradict each other"
    DIFFERENT_KEYS = "the messages name two keys"
    DIFFERENT_SLOTS = "the messages are of different heights, rounds or types"
    SAME_CONTENT = "both messages say the same"
    WRONG_ORDER = "the messages are not in canonical order"


class InvalidEvidence(PeerFault):
    """The two messages are not an equivocation, or not in its canonical form."""

    def __init__(self, reason: EvidenceFault) -> None:
        super().__init__(reason.value)
        self.reason = reason


class ConfigurationError(ConsensusError):
    """The configuration of the network cannot work."""


class InvalidValidatorSet(ConfigurationError):
    """Empty, oversized, repeated addresses, or power that is not positive."""


class InvalidChainContext(ConfigurationError):
    """The chain id or the chain tag cannot be signed unambiguously."""


class InvalidTimeouts(ConfigurationError):
    """A timeout parameter is negative, zero where it must not be, or not finite."""


class ContractViolation(ConsensusError):
    """The host fed the engine, or asked the codec for, something it must never."""
