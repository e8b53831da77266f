"""One shard under test: a real chain on a memory store, real signatures, a beacon that says what a test
wants it to say. Every block that `World.make` makes is built, judged by a second chain and committed to
both, and the wei in it is counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import pytest
from eth_abi import encode

from consensus.types import BlockId, Certificate, Height, Round
from node.execution.trie.trie_proof import iterate
from node.primitives import rlp
from node.primitives.basics import Address, Hash32, ShardId, keccak256
from node.primitives.births import contract_address
from node.primitives.genesis import Genesis, GenesisValidator, Params
from node.primitives.keys import SigningKey
from node.primitives.message import LanePosition, Message, MessageKind
from node.primitives.placement import home_by_range
from node.primitives.transaction import Transaction, decode_transaction
from node.shard import messenger
from node.shard.block_frame import BlockEnv
from node.shard.chain import ShardChain
from node.shard.judge import BuiltBlock
from node.shard.lanes import InboundLane
from node.shard.ports import Anchor
from node.shard.run import BlockRun, ExecutedBlock
from node.shard.selection import ChosenTransactions
from tests.support.memory_store import MemoryStore

CHAIN_ID = 1337
ETHER = 10**18
GWEI = 10**9
ORIGIN = Hash32(b"\x0f" * 32)
TIMESTAMP = 1_700_000_000


@dataclass
class FakeLane:
    """`consumed` messages, all of which were asked for unless `consumed_asked` says otherwise."""

    consumed: int = 0
    consumed_gas: int = 0
    checkpoints: Sequence[LanePosition] = ()
    consumed_asked: int = -1

    def __post_init__(self) -> None:
        if self.consumed_asked < 0:
            self.consumed_asked = self.consumed


@dataclass
class FakeBeacon:
    """What an anchor shows: homes that differ from the range, and lanes."""

    shards: int
    homes: dict[Address, ShardId] = field(default_factory=dict)
    lanes: dict[tuple[int, int], FakeLane] = field(default_factory=dict)
    frozen: set[int] = field(default_factory=set)
    base_fees: dict[int, int] = field(default_factory=dict)

    def home(self, address):
        return self.homes.get(address, home_by_range(address, self.shards))

    def directory_entry(self, address):
        return self.homes.get(address)

    def lane(self, src, dst):
        return self.lanes.get((src, dst), FakeLane())

    def base_fee(self, shard):
        return self.base_fees.get(shard, 0)

    def is_frozen(self, shard):
        return shard in self.frozen


class User:
    def __init__(self, key: SigningKey) -> None:
        self.key = key
        self.address = key.address
        self.nonce = 0

    def sign(self, payload: bytes, fields: list[rlp.Item]) -> list[rlp.Item]:
        signature = self.key.sign_digest(keccak256(payload + rlp.encode(fields)))
        r, s = (int.from_bytes(signature[i : i + 32], "big") for i in (0, 32))
        return [*fields, *(rlp.int_to_bytes(n) for n in (signature[64], r, s))]

    def tx(
        self,
        to: bytes | None,
        value: int = 0,
        data: bytes = b"",
        gas: int = 21_000,
        *,
        tip: int = GWEI,
        fee: int = 10 * GWEI,
        nonce: int | None = None,
        access: Sequence[tuple[bytes, Sequence[int]]] = (),
        authorizations: Sequence[rlp.Item] = (),
    ) -> Transaction:
        if nonce is None:
            nonce = self.nonce
            self.nonce += 1
        fields: list[rlp.Item] = [
            *(rlp.int_to_bytes(n) for n in (CHAIN_ID, nonce, tip, fee, gas)),
            to or b"",
            rlp.int_to_bytes(value),
            data,
            [[address, [slot.to_bytes(32, "big") for slot in slots]] for address, slots in access],
        ]
        kind = b"\x02"
        if authorizations:
            kind = b"\x04"
            fields.append(list(authorizations))
        return decode_transaction(kind + rlp.encode(self.sign(kind, fields)))

    def authorize(self, code: bytes, nonce: int) -> rlp.Item:
        return self.sign(b"\x05", [rlp.int_to_bytes(CHAIN_ID), code, rlp.int_to_bytes(nonce)])


@cache
def user_key(salt: int) -> SigningKey:
    return SigningKey(keccak256(b"shard user %d" % salt))


def make_user(shard: int, shards: int, salt: int = 0) -> User:
    """The first user from `salt` on whose account lives on `shard`."""
    while True:
        user = User(user_key(salt))
        if home_by_range(user.address, shards) == shard:
            return user
        salt += 1000


def fixed_address(shard: int, shards: int, salt: int = 0) -> Address:
    """An address without a key that lives on `shard` by its range."""
    while True:
        address = Address(keccak256(b"address %d" % salt)[:20])
        if home_by_range(address, shards) == shard:
            return address
        salt += 1000


class World:
    """Shard `here` of `shards`, with users on each; `alloc` is what the genesis gives besides."""

    def __init__(self, shards: int = 3, here: int = 0, alloc=None, **params) -> None:
        self.shards = shards
        self.here = ShardId(here)
        self.users = [[make_user(s, shards, 10 * s + n) for n in range(4)] for s in range(shards)]
        self.coinbase = fixed_address(here, shards, 77)
        self.genesis = Genesis(
            chain_id=CHAIN_ID,
            timestamp=TIMESTAMP,
            shards=shards,
            validators=[
                GenesisValidator(
                    name=f"v{s}",
                    address="0x" + self.users[s][0].address.hex(),
                    peer_id=f"p{s}",
                    shard=s,
                    stake=1,
                    beacon=True,
                )
                for s in range(shards)
            ],
            alloc={
                **{"0x" + u.address.hex(): 1000 * ETHER for row in self.users for u in row},
                **{"0x" + address.hex(): wei for address, wei in (alloc or {}).items()},
            },
            params=Params(**params),
        ).check()
        self.beacon = FakeBeacon(shards)
        self.store = MemoryStore()
        self.chain = ShardChain(self.store, self.genesis, self.here)
        self.twin = ShardChain(MemoryStore(), self.genesis, self.here)
        self.inbox: dict[int, list[Message]] = {}
        self.ends: dict[int, list[int]] = {}
        self.told: dict[int, Callable[[LanePosition], int]] = {}
        self.clock = TIMESTAMP
        self.height = 0

    # ------------------------------------------------------------------ the world around it

    def anchor(self, births=()) -> Anchor:
        """A beacon block of its own, at which `inbox` is finalised up to its end, or with checkpoints at the
        counts in `ends`. They tell the wei that their messages bring, or what `told` says."""
        self.height += 1
        for src, messages in self.inbox.items():
            at = messenger.inbox(self.chain.state(), ShardId(src))
            ends = self.ends.get(src, [len(messages)])
            self.beacon.lanes[src, self.here] = FakeLane(
                consumed=at.count,
                consumed_asked=at.asked,
                consumed_gas=at.gas,
                checkpoints=[
                    replace(position, wei=self.told[src](position))
                    if src in self.told
                    else position
                    for position in (positions(messages)[e - 1] for e in ends)
                    if position.count > at.count
                ],
            )
        return Anchor(
            height=self.height,
            hash=keccak256(b"beacon %d" % self.height),
            randao=keccak256(b"randao %d" % self.height),
            timestamp=self.clock,
            state=self.beacon,
            births=births,
        )

    def message(self, to: bytes, value: int = 0, *, src: int = 1, kind=MessageKind.CALL, **fields):
        """The next message of the lane from `src`, sent by its first user."""
        sender = fields.pop("sender", self.users[src][0].address)
        lane = self.inbox.setdefault(src, [])
        message = Message(
            **{
                "src": ShardId(src),
                "dst": self.here,
                "seq": len(lane),
                "kind": kind,
                "sender": sender,
                "to": Address(to),
                "value": value,
                "gas_price": 2 * GWEI,
                "refund_to": sender,
                "origin_tx": ORIGIN,
                **fields,
            }
        )
        lane.append(message)
        return message

    def lanes(self) -> dict[ShardId, InboundLane]:
        """Everything in `inbox`, verified."""
        out = {}
        for src, messages in self.inbox.items():
            lane = InboundLane(src=ShardId(src))
            lane.extend(messages, self.here, [positions(messages)[-1]] if messages else [])
            out[ShardId(src)] = lane
        return out

    # ------------------------------------------------------------------ blocks

    def env(self, anchor: Anchor | None = None) -> BlockEnv:
        self.clock += 1
        return BlockEnv(
            coinbase=self.coinbase, timestamp=self.clock, anchor=anchor or self.anchor()
        )

    def run(self, anchor: Anchor | None = None) -> BlockRun:
        """A block to fill by hand."""
        return self.chain._run(self.env(anchor))

    def build(self, *txs: Transaction, anchor: Anchor | None = None) -> tuple[BuiltBlock, Anchor]:
        env = self.env(anchor)
        return self.chain.build(env, self.lanes(), ChosenTransactions(list(txs))), env.anchor

    def make(self, *txs: Transaction, anchor: Anchor | None = None) -> ExecutedBlock:
        """The next block: built, judged by the twin, committed to both, its wei counted."""
        built, anchor = self.build(*txs, anchor=anchor)
        assert built.rejected == ()
        before = wei_of(self.chain) - self.received
        judged = self.twin.judge(built.executed.block, anchor, built.tails)
        assert judged.header == built.executed.header
        assert judged.requests == built.executed.requests
        assert judged.delta.nodes == built.executed.delta.nodes
        for chain, executed in ((self.chain, built.executed), (self.twin, judged)):
            chain.commit(executed, certificate(executed))
        taken = sum(s.message.in_flight_wei for s in judged.sent)
        assert wei_of(self.chain) - self.received == before - taken
        return built.executed

    def deploy(self, runtime: bytes, value: int = 0, user: User | None = None) -> Address:
        """A contract of `user` (one here) with this code; at home by its birth, wherever its range."""
        user = user or self.users[0][0]
        address = contract_address(user.address, user.nonce)
        executed = self.make(user.tx(None, value, initcode(runtime), 3_000_000))
        assert executed.receipts[-1].status == 1
        return address

    @property
    def received(self) -> int:
        """Wei that messages have brought, as far as they count."""
        state = self.chain.state()
        return sum(messenger.inbox(state, ShardId(src)).wei for src in range(self.shards))

    def balance(self, address: bytes) -> int:
        return self.chain.state().balance(address)


def positions(messages: Sequence[Message]) -> list[LanePosition]:
    """The lane after each message."""
    out = []
    position = LanePosition()
    for message in messages:
        position = position.advance(message)
        out.append(position)
    return out


def wei_of(chain: ShardChain) -> int:
    """All balances at the head, and what has been burned."""
    total = messenger.burned(chain.state())
    for _, account in iterate(chain.read_node, chain.head.state_root):
        total += int.from_bytes(rlp.decode_list(account)[1], "big")
    return total


def certificate(executed: ExecutedBlock) -> Certificate:
    return Certificate(
        height=Height(executed.header.number),
        round=Round(0),
        block_id=BlockId(executed.header.hash),
        signers=1,
        signatures=(b"\1" * 65,),
    )


# ---------------------------------------------------------------------- code


def push(value: int | bytes) -> bytes:
    body = value if isinstance(value, bytes) else value.to_bytes(32, "big")
    return bytes([0x5F + len(body)]) + body


def pay(*payments: tuple[bytes, int]) -> bytes:
    """Code that sends each address its wei, and stops."""
    code = b""
    for address, wei in payments:
        code += b"\x5f" * 4 + push(wei) + push(bytes(address)) + b"\x5a\xf1\x50"
    return code + b"\x00"


def destroy(beneficiary: bytes) -> bytes:
    return push(bytes(beneficiary)) + b"\xff"


def calls(*each: tuple[bytes, int, bytes], end: bytes = b"\x00", delegate: bool = False) -> bytes:
    """Code that makes calls (to, value, data), whatever comes of them, and then does `end`."""
    size = 71 - 33 * delegate
    start = size * len(each) + len(end)
    code, data = b"", b""
    for to, value, payload in each:
        length = len(payload).to_bytes(2, "big")
        code += b"\x61" + length + b"\x61" + (start + len(data)).to_bytes(2, "big") + b"\x5f\x39"
        code += b"\x5f\x5f\x61" + length + b"\x5f"
        code += (b"" if delegate else push(value)) + push(bytes(to)) + b"\x5a"
        code += (b"\xf4" if delegate else b"\xf1") + b"\x50"
        data += payload
    assert len(code) == size * len(each)
    return code + end + data


def initcode(runtime: bytes) -> bytes:
    """Init code that deploys `runtime`."""
    return b"\x61" + len(runtime).to_bytes(2, "big") + bytes.fromhex("80600a5f395ff3") + runtime


def sending(
    to: bytes, data: bytes = b"", gas: int = 0, reply_gas: int = 0, callback: bytes = bytes(4)
) -> bytes:
    """The call data of `MESSENGER.send`."""
    signature = "send(address,bytes,uint256,uint256,bytes4)"
    types = ["address", "bytes", "uint256", "uint256", "bytes4"]
    return keccak256(signature.encode())[:4] + encode(types, [to, data, gas, reply_gas, callback])


REVERT = bytes.fromhex("5f5ffd")
INVALID = b"\xfe"
STORE = bytes.fromhex("5f355f5500")  # slot 0 = the first word of the input


@dataclass(frozen=True)
class Kit:
    """Helpers for tests, since tests do not import from each other."""

    world: type[World] = World
    user: Callable[..., User] = make_user
    address: Callable[..., Address] = fixed_address
    positions: Callable[..., list[LanePosition]] = positions
    certificate: Callable[..., Certificate] = certificate
    wei_of: Callable[..., int] = wei_of
    lane: type[FakeLane] = FakeLane
    beacon: type[FakeBeacon] = FakeBeacon
    push: Callable[..., bytes] = push
    pay: Callable[..., bytes] = pay
    destroy: Callable[..., bytes] = destroy
    sending: Callable[..., bytes] = sending
    calls: Callable[..., bytes] = calls
    initcode: Callable[..., bytes] = initcode
    revert: bytes = REVERT
    invalid: bytes = INVALID
    store: bytes = STORE


@pytest.fixture(scope="session")
def kit() -> Kit:
    return Kit()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def make_world() -> Callable[..., World]:
    return World
