"""A whole network in one process: real chains on memory stores, real keys, no consensus and no sockets.

Blocks are made when a test says so (`step`, `crosslink`, `settle`); their certificates are signed by the
validators, one on each shard unless a test wants more.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import trio

from consensus.evidence import make_evidence
from consensus.signing import certificate_from_votes, vote_sign_bytes
from consensus.types import ValidatorSet, Vote, VoteType
from node.beacon.chain import BeaconChain
from node.beacon.evidence import DoubleSigning
from node.beacon.rules import BeaconRules
from node.beacon.transition import genesis_block
from node.beacon.validators import BEACON_CHAIN
from node.concurrency.head_signal import HeadSignal
from node.config.live_faults import LiveFaults
from node.config.node_config import NodeConfig
from node.config.node_faults import NodeFaults
from node.primitives import rlp
from node.primitives.basics import Address, ShardId, keccak256
from node.primitives.crosslink import Crosslink
from node.primitives.genesis import Genesis, GenesisValidator, Params
from node.primitives.header import Header
from node.primitives.keys import KeccakSecp256k1, SigningKey
from node.primitives.message import Message
from node.primitives.placement import home_by_range
from node.primitives.transaction import decode_transaction
from node.query.codec import serve
from node.query.local import LocalSource
from node.query.port import ShardUnavailable
from node.query.remote import RemoteSource
from node.shard import messenger
from node.shard.block_frame import BlockEnv
from node.shard.chain import HeadAccounts, ShardChain
from node.shard.genesis import shard_genesis
from node.shard.lanes import InboundLane
from node.shard.pool import TransactionPool
from node.shard.ports import Anchor
from node.view.backend import NodeBackend
from node.view.fault_control import FaultControl
from node.view.following.methods import AtollView
from node.view.following.proving import Prover
from node.view.network_view import NetworkView
from node.view.shard_view import ShardView
from node.view.shards import Shards
from node.view.wallet.wallet import Wallet
from rpc.threads import Threads
from tests.support.memory_store import MemoryStore

CHAIN_ID = 1337
ETHER = 10**18
GWEI = 10**9
TIMESTAMP = 1_700_000_000

TOPIC = keccak256(b"Stored(address,uint256)")
_REASON = (
    bytes.fromhex("08c379a0")  # Error(string)
    + (32).to_bytes(32, "big")
    + (4).to_bytes(32, "big")
    + b"zero".ljust(32, b"\0")
)


def _runtime(read: int, fail: int, reason: int) -> tuple[bytes, tuple[int, int, int]]:
    """The code with these jump targets, and where they really are."""
    size = len(_REASON)
    code = bytes.fromhex(f"361560{read:02x}57")  # no input: read
    code += bytes.fromhex(f"5f35801560{fail:02x}57")  # the word is zero: fail
    code += bytes.fromhex("805f555f52337f") + TOPIC  # store it, log it with the caller
    code += bytes.fromhex("60205fa200")
    at_read = len(code)
    code += bytes.fromhex("5b5f545f5260205ff3")  # return slot 0
    at_fail = len(code)
    code += bytes.fromhex(f"5b60{size:02x}60{reason:02x}5f3960{size:02x}5ffd")
    return code + _REASON, (at_read, at_fail, len(code))


def contract_code() -> bytes:
    """A contract that returns slot 0 without input, reverts with Error("zero") for a word of zeros, and
    else stores the word in slot 0 and logs (TOPIC, caller; word)."""
    return _runtime(*_runtime(0, 0, 0)[1])[0]


def init_code() -> bytes:
    runtime = contract_code()
    head = bytes.fromhex(f"60{len(runtime):02x}80600b5f395ff3")
    return head.ljust(11, b"\0") + runtime


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


class User:
    """An account with a key. Signs type-2 transactions with ascending nonces."""

    def __init__(self, key: SigningKey) -> None:
        self.key = key
        self.address = key.address
        self.nonce = 0

    def sign(
        self,
        to: bytes | None,
        value: int = 0,
        data: bytes = b"",
        gas: int = 21_000,
        *,
        tip: int = GWEI,
        fee: int = 10 * GWEI,
        chain_id: int = CHAIN_ID,
        nonce: int | None = None,
    ) -> bytes:
        if nonce is None:
            nonce = self.nonce
            self.nonce += 1
        fields: list[rlp.Item] = [
            *(rlp.int_to_bytes(n) for n in (chain_id, nonce, tip, fee, gas)),
            to or b"",
            rlp.int_to_bytes(value),
            data,
            [],
        ]
        signature = self.key.sign_digest(keccak256(b"\x02" + rlp.encode(fields)))
        r, s = (int.from_bytes(signature[i : i + 32], "big") for i in (0, 32))
        tail = [rlp.int_to_bytes(n) for n in (signature[64], r, s)]
        return b"\x02" + rlp.encode([*fields, *tail])


def make_user(shard: int, shards: int, salt: int) -> User:
    """The first user from `salt` on whose account lives on `shard`."""
    while True:
        user = User(SigningKey(keccak256(b"user %d" % salt)))
        if home_by_range(user.address, shards) == shard:
            return user
        salt += 1_000


class PoolAdapter:
    """A `PoolPort` over a pool and the state at its chain's head."""

    def __init__(self, chain: ShardChain) -> None:
        self.chain = chain
        self.pool = TransactionPool()
        self.waiting: dict[bytes, str] = {}

    def reasons(self) -> dict[bytes, str]:
        return self.waiting

    def accounts(self) -> HeadAccounts:
        return HeadAccounts(self.chain.state())

    async def submit(self, raw: bytes, known: int = 0) -> bytes:
        tx = decode_transaction(raw)
        self.pool.add(tx, self.accounts())
        return tx.hash

    def next_nonce(self, address: Address) -> int:
        return self.pool.next_nonce(address, self.accounts().nonce(address))

    def get(self, tx_hash):
        return self.pool.get(tx_hash)

    def counts(self) -> tuple[int, int]:
        return self.pool.counts()


class Instead:
    """A source that answers questions of some types in another way, and all others as `honest` does; it is away
    where there is none."""

    def __init__(self, honest=None, answers=None) -> None:
        self.honest = honest
        self.answers = answers or {}

    async def ask(self, question):
        if type(question) in self.answers:
            return await self.answers[type(question)](question)
        if self.honest is None:
            raise ShardUnavailable("gone")
        return await self.honest.ask(question)


class Status:
    def status(self):
        return {"name": "test"}

    def health(self):
        return True, {"healthy": True}

    behind = False

    def peer_count(self) -> int:
        return 3

    def syncing(self) -> bool:
        return self.behind


@dataclass
class Views:
    """What one node serves; `sources` can be replaced before the first question."""

    shards: Shards
    network: NetworkView
    atoll: AtollView
    backend: NodeBackend


class Devnet:
    """`shards` shards with `per_shard` validators each, all of them in the beacon committee.

    `validators` are the first of every shard, who make all blocks; `members` are all of each shard.
    """

    def __init__(self, shards: int = 2, per_shard: int = 1) -> None:
        self.ids = [ShardId(s) for s in range(shards)]
        self.members = [
            [make_user(s, shards, 7 + n) for n in range(per_shard)] for s in range(shards)
        ]
        self.validators = [row[0] for row in self.members]
        self.users = [
            [make_user(s, shards, 100 * (n + 1)) for n in range(3)] for s in range(shards)
        ]
        self.genesis = Genesis(
            chain_id=CHAIN_ID,
            timestamp=TIMESTAMP,
            shards=shards,
            validators=[
                GenesisValidator(
                    name=f"v{s}" + (f".{n}" if n else ""),
                    address="0x" + v.address.hex(),
                    peer_id=f"peer{s}" + (f".{n}" if n else ""),
                    shard=s,
                    stake=ETHER,
                    beacon=True,
                )
                for s, row in enumerate(self.members)
                for n, v in enumerate(row)
            ],
            alloc={"0x" + u.address.hex(): 1000 * ETHER for row in self.users for u in row},
            params=Params(),
        ).check()
        self.keys = {v.address: v.key for row in self.members for v in row}
        self.rules = BeaconRules.of(self.genesis, KeccakSecp256k1())
        headers = {s: shard_genesis(self.genesis, s)[0] for s in self.ids}
        first = genesis_block(self.genesis, headers)
        self.beacon = BeaconChain(MemoryStore(), (first.block, first.nodes), self.rules)
        self.chains = [ShardChain(MemoryStore(), self.genesis, s) for s in self.ids]
        self.pools = [PoolAdapter(chain) for chain in self.chains]
        self.clock = TIMESTAMP
        self.absent: set[bytes] = set()  # validators that do not vote
        self.head: int | None = None  # of the network view; None follows the beacon

    # ------------------------------------------------------------------ making blocks

    def _certify(self, context, members, height, block_id):
        preimage = vote_sign_bytes(context, VoteType.PRECOMMIT, height, 0, block_id)
        votes = [
            Vote(
                type=VoteType.PRECOMMIT,
                height=height,
                round=0,
                block_id=block_id,
                validator=member.address,
                signature=self.keys[member.address].sign_digest(keccak256(preimage)),
            )
            for member in members
            if member.address not in self.absent
        ]
        return certificate_from_votes(members, votes)

    def _anchor(self, shard: ShardId) -> Anchor:
        head = self.beacon.head
        parent = self.beacon.height_of(self.chains[shard].head.parent_beacon_block_root) or 0
        births = self.beacon.births_between(parent, head.height)
        return Anchor(
            height=head.height,
            hash=head.hash,
            randao=head.header.randao,
            timestamp=head.header.timestamp,
            state=self.beacon.state,
            births=tuple(births),
        )

    def _anchor_of(self, shard: int, header: Header) -> Anchor:
        """What a decided block is anchored to."""
        parent = self.chains[shard].header(max(header.number - 1, 0))
        start = self.beacon.height_of(parent.parent_beacon_block_root) or 0
        height = self.beacon.height_of(header.parent_beacon_block_root) or 0
        anchored = self.beacon.block(height).header
        return Anchor(
            height=height,
            hash=anchored.hash,
            randao=anchored.randao,
            timestamp=anchored.timestamp,
            state=self.beacon.state_at(height),
            births=tuple(self.beacon.births_between(start, height)),
        )

    def _lanes(self, shard: ShardId) -> dict[ShardId, InboundLane]:
        lanes = {}
        for src in self.ids:
            ends = self.beacon.state.lane(src, shard).checkpoints
            if src == shard or not ends:
                continue
            position = messenger.inbox(self.chains[shard].state(), src)
            lane = InboundLane(src=src, position=position)
            count = max(ends[-1].count - position.count, 0)
            raw = self.chains[src].sent_range(shard, position.count, count)
            lane.extend([Message.decode(m) for m in raw], shard, ends)
            lanes[src] = lane
        return lanes

    def step(self, shard: int) -> None:
        """The next block of a shard, with what is in its pool and what has arrived."""
        sid = ShardId(shard)
        chain, adapter = self.chains[shard], self.pools[shard]
        self.clock += 1
        anchor = self._anchor(sid)
        env = BlockEnv(coinbase=self.validators[shard].address, timestamp=self.clock, anchor=anchor)
        selection = adapter.pool.best(adapter.accounts(), 0)
        built = chain.build(env, self._lanes(sid), selection)
        assert not built.rejected, built.rejected
        chain.judge(built.executed.block, anchor, built.tails)
        header = built.executed.header
        certificate = self._certify(
            self.rules.shard_context(sid), self._deciders(chain), header.number, header.hash
        )
        chain.commit(built.executed, certificate)
        adapter.pool.on_committed(built.executed.senders, adapter.accounts())

    def _deciders(self, chain: ShardChain) -> ValidatorSet:
        """Who decides the block after the head of a shard."""
        anchor = self.beacon.height_of(chain.head.parent_beacon_block_root) or 0
        return self.beacon.committee_at(chain.shard, anchor)

    def crosslink(self, evidence=()) -> int:
        """The next beacon block, with all that it has not yet of every shard; its height."""
        links = []
        for shard, chain in zip(self.ids, self.chains, strict=True):
            for height in range(self.beacon.state.tip(shard).height + 1, chain.head.number + 1):
                links.append(
                    Crosslink(
                        shard=shard,
                        header=chain.header(height),
                        requests=chain.requests(height),
                        certificate=chain.certificate(height),
                    )
                )
        self.clock += 1
        execution = self.beacon.build(
            links,
            evidence=evidence,
            timestamp=self.clock,
            proposer=self.validators[0].address,
        )
        assert not execution.refused, execution.refused
        assert not execution.refused_evidence, execution.refused_evidence
        block = execution.block
        certificate = self._certify(
            self.rules.beacon_context(), self.beacon.beacon_committee(), block.height, block.hash
        )
        self.beacon.commit(execution, certificate)
        return block.height

    def jail(self, shard: int, member: int) -> int:
        """A beacon block that holds double signing against a validator; its height."""
        user = self.members[shard][member]
        context, height = self.rules.beacon_context(), self.beacon.head.height
        votes = []
        for block in (keccak256(b"one"), keccak256(b"other")):
            preimage = vote_sign_bytes(context, VoteType.PREVOTE, height, 0, block)
            votes.append(
                Vote(
                    type=VoteType.PREVOTE,
                    height=height,
                    round=0,
                    block_id=block,
                    validator=user.address,
                    signature=user.key.sign_digest(keccak256(preimage)),
                )
            )
        item = DoubleSigning(chain=BEACON_CHAIN, evidence=make_evidence(*votes))
        return self.crosslink(evidence=[item])

    def round(self) -> int:
        """A block of every shard and the beacon block over them; its height."""
        for shard in self.ids:
            self.step(shard)
        return self.crosslink()

    def settle(self) -> int:
        """Enough rounds for anything under way to arrive."""
        return [self.round() for _ in range(4)][-1]

    # ------------------------------------------------------------------ what a node serves

    def source(self, shard: int, wait_height=None) -> LocalSource:
        async def too_slow(height: int) -> None:
            raise trio.TooSlowError

        async def show(height: int) -> None:
            assert height <= self.beacon.head.height

        async def run_call(job):
            return await trio.to_thread.run_sync(job)

        return LocalSource(
            self.chains[shard],
            self.pools[shard],
            wait_height=wait_height or too_slow,
            run_call=run_call,
            content=self.pools[shard].pool.content,
            anchor_of=partial(self._anchor_of, shard),
            directory=self.beacon.state_at,
            show=show,
        )

    def head_height(self) -> int:
        return self.beacon.head.height if self.head is None else self.head

    def remote(self, shard: int) -> RemoteSource:
        """The source of another node, through the codec of the network."""
        local, aside = self.source(shard), Threads(1)

        async def ask(payload: bytes, seconds: float) -> bytes:
            with trio.fail_after(seconds):
                return await serve(local, payload, aside)

        return RemoteSource(shard, ask)

    def views(self, own: int | None = 0, sources=None) -> Views:
        found = {int(s): self.source(s) if s == own else self.remote(s) for s in self.ids}
        found |= sources or {}
        shards = Shards(found, own=own)
        head_signal = HeadSignal()
        network = NetworkView(
            self.beacon,
            shards,
            chain_id=CHAIN_ID,
            head_height=self.head_height,
            head_signal=head_signal,
        )
        atoll = AtollView(
            self.beacon,
            shards,
            network=network,
            prover=Prover(
                self.genesis,
                self.beacon,
                shards,
                head_height=self.head_height,
                checker=self.rules.checker,
            ),
            head_signal=head_signal,
            committees={int(s): [f"v{s}"] for s in self.ids},
            genesis_supply=sum(self.genesis.alloc.values()),
            params=self.genesis.params,
        )
        backend = NodeBackend(
            network=network,
            shards={
                int(s): ShardView(
                    s, self.beacon, shards, chain_id=CHAIN_ID, head_signal=head_signal
                )
                for s in self.ids
            },
            atoll=atoll,
            beacon=self.beacon,
            sources=shards,
            node=Status(),
            wallet=Wallet(
                {u.address: u.key for row in self.users for u in row},
                addresses=[u.address for row in self.users for u in row],
                chain_id=CHAIN_ID,
            ),
            head_signal=head_signal,
            highest=lambda: self.beacon.head.height + 40,
            chain_id=CHAIN_ID,
            version="atoll/test",
            faults=FaultControl(
                LiveFaults(NodeFaults()),
                accuse=lambda item: False,
                config=NodeConfig(name="v0", genesis=Path("g"), identity_key=Path("i")),
                allowed=False,
            ),
            coinbase=self.validators[own].address if own is not None else None,
        )
        return Views(shards=shards, network=network, atoll=atoll, backend=backend)


@pytest.fixture
def net() -> Devnet:
    return Devnet()


@pytest.fixture(scope="session")
def devnet_class() -> type[Devnet]:
    return Devnet


@pytest.fixture
def code():
    """(init code, runtime code, log topic) of the test contract, see `contract_code`."""
    return init_code(), contract_code(), TOPIC
