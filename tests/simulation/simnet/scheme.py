"""Keys, blocks and packets of the simulated network."""

from ast import literal_eval
from dataclasses import dataclass, field
from functools import cache, lru_cache
from hashlib import blake2b, sha256

from consensus.codec import (
    decode_certificate,
    decode_proposal,
    decode_vote,
    encode_certificate,
    encode_proposal,
    encode_vote,
)
from consensus.errors import PeerFault
from consensus.signing import verify_certificate
from consensus.types import (
    Address,
    BlockId,
    Certificate,
    ChainContext,
    Proposal,
    ValidatorSet,
    Vote,
)
from node.primitives.basics import keccak_fast

CTX = ChainContext(genesis=b"g" * 32, tag=b"shard/0")
GENESIS = BlockId(bytes(32))
MAX_KEYS = 40


@cache
def address(key: int) -> Address:
    """The address of a key, by its number."""
    return Address(sha256(b"key %d" % key).digest()[:20])


_KEY_OF = {address(key): key for key in range(MAX_KEYS)}


def key_of(owner: Address) -> int:
    """The number of the key with this address."""
    return _KEY_OF[owner]


def sign_digest(key: int, digest: bytes) -> bytes:
    """A fake signature, 65 bytes, that is nevertheless checked: it names its key and its text."""
    return bytes((key,)) + blake2b(digest, key=bytes((key, 1))).digest()


def sign(key: int, preimage: bytes) -> bytes:
    """The same for a text."""
    return sign_digest(key, keccak_fast(preimage))


class Checker:
    """The ``SignatureChecker`` of :func:`sign`."""

    def recover(self, preimage: bytes, signature: bytes) -> Address | None:
        """Whose signature it is."""
        return _recover(preimage, signature)


@lru_cache(1 << 14)
def _recover(preimage: bytes, signature: bytes) -> Address | None:
    key = signature[0]
    return address(key) if key < MAX_KEYS and sign(key, preimage) == signature else None


CHECKER = Checker()


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What a node proposes. ``good`` is False for what no honest node accepts; ``raw`` is its value."""

    height: int
    parent: BlockId
    salt: str
    good: bool
    raw: bytes = field(init=False, repr=False)
    id: BlockId = field(init=False)

    def __post_init__(self) -> None:
        raw = repr((self.height, self.parent, self.salt, self.good)).encode()
        object.__setattr__(self, "raw", raw)
        object.__setattr__(self, "id", BlockId(sha256(raw).digest()))


@lru_cache(1 << 12)
def read_block(raw: bytes) -> Block:
    """The block with this value."""
    height, parent, salt, good = literal_eval(raw.decode())
    return Block(height=height, parent=parent, salt=salt, good=good)


Message = Vote | Proposal | Certificate


def short(block_id: BlockId | None) -> str:
    """A block id for people."""
    return "nil" if block_id is None else block_id[:4].hex()


def describe(message: Message) -> str:
    """A message for people; different for different contents."""
    place = f"{message.height}/{message.round} {short(message.block_id)}"
    match message:
        case Vote():
            return f"{message.type.name.lower()} {place} of {key_of(message.validator)}"
        case Proposal():
            return f"proposal {place} pol {message.pol_round} of {key_of(message.proposer)}"
        case Certificate():
            return f"certificate {place} by {message.signers:x}"


class Packet:
    """A message on the wire with the block beside it, encoded and decoded once for all receivers."""

    __slots__ = ("_context", "_fault", "block", "label", "message")

    def __init__(self, context: ChainContext, message: Message, block: Block | None = None) -> None:
        self._context = context
        match message:
            case Vote():
                self.message: Message = decode_vote(encode_vote(message))
            case Proposal():
                self.message = decode_proposal(encode_proposal(message))
            case Certificate():
                self.message = decode_certificate(encode_certificate(message))
        self.block = block
        self.label = describe(message)
        self._fault: PeerFault | bool = False

    def check(self, validators: ValidatorSet) -> None:
        """Check a certificate, once: the set of a height is the same for everybody.

        Raises:
            PeerFault: as `verify_certificate`.
        """
        if self._fault is False:
            assert isinstance(self.message, Certificate)
            try:
                verify_certificate(self._context, validators, self.message, CHECKER)
            except PeerFault as fault:
                self._fault = fault
            else:
                self._fault = True
        if isinstance(self._fault, PeerFault):
            raise self._fault
