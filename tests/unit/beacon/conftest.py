"""A small network with real keys: shards' headers are made by hand, their certificates are signed."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from consensus.signing import certificate_from_votes, vote_sign_bytes
from consensus.types import Certificate, ChainContext, ValidatorSet, Vote, VoteType
from node.beacon.chain import BeaconChain
from node.beacon.rules import validator_set
from node.beacon.transition import BeaconExecution, BeaconRules, genesis_block
from node.primitives.basics import ZERO_ADDRESS, ZERO_HASH, Address, ShardId, keccak256
from node.primitives.crosslink import Crosslink
from node.primitives.genesis import Genesis, GenesisValidator, Params, parse_address
from node.primitives.header import Header
from node.primitives.keys import KeccakSecp256k1, SigningKey
from node.primitives.placement import home_by_range
from node.primitives.requests import ShardRequests
from node.storage.kv import KeyValueStore
from node.storage.memory import MemoryStore

NO_REQUESTS = ShardRequests()


def key_at_home(index, shard, shards):
    """The first key from `index` on whose address is at home on `shard`."""
    candidates = (SigningKey((index * 4096 + k + 1).to_bytes(32, "big")) for k in range(4096))
    return next(key for key in candidates if home_by_range(key.address, shards) == shard)


class Net:
    """`per_shard` validators on each shard; the first of each is in the beacon committee."""

    def __init__(self, shards=2, per_shard=1, max_crosslinks=8, chain_id=1337):
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
                    stake=32 * 10**18,
                    beacon=i % per_shard == 0,
                )
                for i, key in enumerate(self.keys)
            ],
            alloc={},
            params=Params(max_crosslinks=max_crosslinks),
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
                "base_fee_per_gas": 10**9,
                "parent_beacon_block_root": anchor,
                "requests_hash": requests.hash,
                "extra_data": b"atoll/%d" % shard,
                **fields,
            }
        )

    def certify(
        self, ctx: ChainContext, members: ValidatorSet, height: int, block_id: bytes
    ) -> Certificate:
        preimage = vote_sign_bytes(ctx, VoteType.PRECOMMIT, height, 0, block_id)
        return certificate_from_votes(
            members,
            [
                Vote(
                    type=VoteType.PRECOMMIT,
                    height=height,
                    round=0,
                    block_id=block_id,
                    validator=member.address,
                    signature=self.by_address[member.address].sign_digest(keccak256(preimage)),
                )
                for member in members
            ],
        )

    def crosslink(self, shard, parent, anchor, requests=NO_REQUESTS, **fields) -> Crosslink:
        """The next block of `shard` on `parent`, decided by the shard's committee."""
        header = self.header(shard, parent, anchor, requests, **fields)
        return self.decided(shard, header, requests)

    def decided(self, shard, header, requests=NO_REQUESTS) -> Crosslink:
        members = tuple(
            (Address(parse_address(v.address)), v.stake) for v in self.genesis.committee(shard)
        )
        certificate = self.certify(
            self.rules.shard_context(ShardId(shard)),
            validator_set(members),
            header.number,
            bytes(header.hash),
        )
        return Crosslink(
            shard=ShardId(shard), header=header, requests=requests, certificate=certificate
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
        crosslink = self.net.crosslink(
            shard,
            self.tips[shard],
            self.chain.head.hash if anchor is None else anchor,
            requests,
            **fields,
        )
        self.tips[shard] = crosslink.header
        return crosslink

    def build(self, *crosslinks, timestamp=0) -> BeaconExecution:
        return self.chain.build(crosslinks, timestamp=timestamp, proposer=self.net.proposer)

    def grow(self, *crosslinks) -> BeaconExecution:
        """Build, judge and commit a block that takes all of them in."""
        execution = self.build(*crosslinks)
        assert execution.refused == ()
        assert len(execution.block.body.crosslinks) == len(crosslinks)
        assert self.chain.judge(execution.block).state_root == execution.state_root
        self.chain.commit(execution, self.net.certificate_for(self.chain, execution))
        return execution


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
