"""A small network with real keys: shards' headers are made by hand, their certificates are signed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest

from consensus.evidence import make_evidence
from consensus.signing import certificate_from_votes, vote_sign_bytes
from consensus.types import Certificate, ChainContext, ValidatorSet, Vote, VoteType
from node.beacon.chain import BeaconChain
from node.beacon.evidence import DoubleSigning
from node.beacon.rules import BeaconRules, validator_set
from node.beacon.state import BeaconState
from node.beacon.transition import BeaconExecution, genesis_block
from node.execution.evm.fees import next_base_fee
from node.execution.trie.trie import Trie
from node.primitives.basics import ZERO_ADDRESS, ZERO_HASH, Address, ShardId, keccak256
from node.primitives.crosslink import Crosslink
from node.primitives.genesis import Genesis, GenesisValidator, Params, parse_address
from node.primitives.header import Header
from node.primitives.keys import KeccakSecp256k1, SigningKey
from node.primitives.placement import home_by_range
from node.primitives.requests import ShardRequests
from node.storage.kv import KeyValueStore
from tests.support.memory_store import MemoryStore

NO_REQUESTS = ShardRequests()


def key_at_home(index, shard, shards):
    """The first key from `index` on whose address is at home on `shard`."""
    candidates = (SigningKey((index * 4096 + k + 1).to_bytes(32, "big")) for k in range(4096))
    return next(key for key in candidates if home_by_range(key.address, shards) == shard)


class Net:
    """`per_shard` validators on each shard; the first of each is in the beacon committee.

    `stakes` are those of the validators in order, repeated.
    """

    def __init__(
        self,
        shards=2,
        per_shard=1,
        max_crosslinks=8,
        chain_id=1337,
        stakes=(32 * 10**18,),
        dev_methods=False,
    ):
        self.keys = [key_at_home(i, i // per_shard, shards) for i in range(shards * per_shard)]
        self.by_address = {key.address: key for key in self.keys}
        self.genesis = Genesis(
            chain_id=chain_id,
            timestamp=1_700_000_000,
            shards=shards,
            validators=[
                GenesisValidator(
                    name=f"v{i}",
                    address="0x" + key.address.hex(),
                    peer_id=f"peer{i}",
                    shard=i // per_shard,
                    stake=stakes[i % len(stakes)],
                    beacon=i % per_shard == 0,
                )
                for i, key in enumerate(self.keys)
            ],
            alloc={"0x" + key.address.hex(): 10**18 for key in self.keys},
            params=Params(max_crosslinks=max_crosslinks, dev_methods=dev_methods),
        ).check()
        self.rules = BeaconRules.of(self.genesis, KeccakSecp256k1())
        self.shard_genesis = {ShardId(s): self.header(s) for s in range(shards)}
        self.beacon_genesis = genesis_block(self.genesis, self.shard_genesis)
        self.proposer = self.keys[0].address

    def header(self, shard, parent=None, anchor=ZERO_HASH, requests=NO_REQUESTS, **fields):
        return Header(
            **{
                "parent_hash": ZERO_HASH if parent is None else parent.hash,
                "number": 0 if parent is None else parent.number + 1,
                "coinbase": ZERO_ADDRESS,
                "state_root": keccak256(b"state of %d" % shard),
                "gas_limit": 30_000_000,
                "timestamp": 1_700_000_000,
                "prev_randao": ZERO_HASH,
                "base_fee_per_gas": 10**9 if parent is None else next_base_fee(parent),
                "parent_beacon_block_root": anchor,
                "requests_hash": requests.hash,
                "extra_data": b"atoll/%d" % shard,
                **fields,
            }
        )

    def certify(
        self,
        ctx: ChainContext,
        members: ValidatorSet,
        height: int,
        block_id: bytes,
        round: int = 0,
        signers: Iterable[bytes] | None = None,
    ) -> Certificate:
        """By all members, or those of `signers`."""
        chosen = [m.address for m in members] if signers is None else list(signers)
        return certificate_from_votes(
            members,
            [self.vote(ctx, a, height, block_id, round=round) for a in chosen],
        )

    def vote(self, ctx, address, height, block_id, round=0, type=VoteType.PRECOMMIT) -> Vote:
        preimage = vote_sign_bytes(ctx, type, height, round, block_id)
        return Vote(
            type=type,
            height=height,
            round=round,
            block_id=block_id,
            validator=address,
            signature=self.by_address[address].sign_digest(keccak256(preimage)),
        )

    def double_vote(
        self, index, chain=0, height=1, round=0, type=VoteType.PREVOTE, blocks=(b"x", b"y")
    ) -> DoubleSigning:
        """Two votes by the validator number `index`."""
        ctx, address = self.rules.context_at(chain, height), self.keys[index].address
        one, other = (
            self.vote(ctx, address, height, block and keccak256(block), round=round, type=type)
            for block in blocks
        )
        return DoubleSigning(chain=chain, evidence=make_evidence(one, other))

    def crosslink(
        self, shard, parent, anchor, requests=NO_REQUESTS, members=None, **fields
    ) -> Crosslink:
        """The next block of `shard` on `parent`, decided by `members`, usually the genesis committee."""
        header = self.header(shard, parent, anchor, requests, **fields)
        return self.decided(shard, header, requests, members)

    def decided(self, shard, header, requests=NO_REQUESTS, members=None) -> Crosslink:
        certificate = self.certify(
            self.rules.shard_context(ShardId(shard)),
            members or self.genesis_members(shard),
            header.number,
            bytes(header.hash),
        )
        return Crosslink(
            shard=ShardId(shard), header=header, requests=requests, certificate=certificate
        )

    def genesis_members(self, shard) -> ValidatorSet:
        return validator_set(
            tuple(
                (Address(parse_address(v.address)), v.stake) for v in self.genesis.committee(shard)
            )
        )

    def chain(self, store: KeyValueStore | None = None) -> BeaconChain:
        return BeaconChain(store or MemoryStore(), self.beacon_genesis, self.rules)

    def certificate_for(self, chain: BeaconChain, execution: BeaconExecution) -> Certificate:
        block = execution.block
        return self.certify(
            self.rules.beacon_context(), chain.beacon_committee(), block.height, bytes(block.hash)
        )


@dataclass
class Driver:
    """A chain that grows by crosslinks; every shard block is anchored to the head unless said."""

    net: Net
    chain: BeaconChain
    tips: dict[int, Header] = field(init=False)

    def __post_init__(self) -> None:
        self.tips = {s: tip.header for s, tip in self.chain.state.tips().items()}

    def next(self, shard, requests=NO_REQUESTS, anchor=None, **fields) -> Crosslink:
        """The crosslink after this shard's last; a row of calls makes a row of blocks."""
        fields.setdefault("members", self.deciders(shard))
        crosslink = self.net.crosslink(
            shard,
            self.tips[shard],
            self.chain.head.hash if anchor is None else anchor,
            requests,
            **fields,
        )
        self.tips[shard] = crosslink.header
        return crosslink

    def deciders(self, shard) -> ValidatorSet:
        """Who decides the next block of `shard`."""
        anchor = self.chain.height_of(self.tips[shard].parent_beacon_block_root) or 0
        return self.chain.committee_at(ShardId(shard), anchor)

    def build(self, *crosslinks, timestamp=0, evidence=()) -> BeaconExecution:
        proposer, record = self.net.proposer, self.chain.state.validator(self.net.proposer)
        if record is not None and record.jailed_at is not None:
            proposer = Address(next(iter(self.chain.beacon_committee())).address)
        return self.chain.build(
            crosslinks, evidence=evidence, timestamp=timestamp, proposer=proposer
        )

    def grow(self, *crosslinks, evidence=()) -> BeaconExecution:
        """Build, judge and commit a block that takes all of them in."""
        execution = self.build(*crosslinks, evidence=evidence)
        assert execution.refused == execution.refused_evidence == ()
        assert len(execution.block.body.crosslinks) == len(crosslinks)
        assert len(execution.block.body.evidence) == len(evidence)
        assert self.chain.judge(execution.block).state_root == execution.state_root
        self.chain.commit(execution, self.net.certificate_for(self.chain, execution))
        self.check_memory()
        return execution

    def check_memory(self) -> None:
        """What the state at the head remembers of earlier ones is what its trie says."""
        state, root = self.chain.state, self.chain.head.header.state_root
        read = BeaconState(Trie(self.chain.read_node, root))
        shards = [ShardId(shard) for shard in range(read.shards)]
        assert state.tips() == read.tips()
        for shard in shards:
            assert state.supply(shard) == read.supply(shard)
            assert state.frozen(shard) == read.frozen(shard)
            assert state.terms(shard) == read.terms(shard)
            assert state.roster(shard) == read.roster(shard)
            assert [state.lane(shard, dst) for dst in shards] == [
                read.lane(shard, dst) for dst in shards
            ]
        for address, home in state._directory.items():
            assert read.directory_entry(address) == home


@pytest.fixture
def make_net() -> Callable[..., Net]:
    return Net


@pytest.fixture
def net() -> Net:
    return Net()


@pytest.fixture
def driver(net: Net) -> Driver:
    return Driver(net, net.chain())


@pytest.fixture
def make_driver() -> Callable[[Net, BeaconChain], Driver]:
    return Driver
