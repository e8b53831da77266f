"""Who decides a shard's next block, while the beacon punishes one of them."""

import time

import pytest

from consensus.evidence import make_evidence
from consensus.signing import vote_sign_bytes
from consensus.types import Address as ConsensusAddress
from consensus.types import Certificate, Height, Round, Vote, VoteType
from node.beacon.chain import BeaconChain
from node.beacon.evidence import DoubleSigning
from node.beacon.rules import BeaconRules
from node.beacon.transition import genesis_block
from node.chains.beacon_app import BeaconService
from node.chains.shard_app import ShardService
from node.concurrency.worker import Worker
from node.network.crosslink_publisher import CrosslinkPublisher
from node.primitives.basics import Address, ShardId, keccak256
from node.primitives.genesis import Genesis, GenesisValidator
from node.primitives.keys import KeccakSecp256k1, SigningKey
from node.runtime.report.stakes import evidence_report, validators_report
from node.shard.chain import ShardChain
from node.shard.genesis import shard_genesis
from node.shard.pool import TransactionPool
from tests.support.memory_store import MemoryStore

KEYS = [SigningKey(keccak256(b"seat %d" % i)) for i in range(4)]


class Net:
    """One shard of four, all of them in the beacon committee, as the node of the first sees it."""

    def __init__(self) -> None:
        genesis = Genesis(
            chain_id=1337,
            timestamp=1_700_000_000,
            shards=1,
            validators=[
                GenesisValidator(
                    name=f"v{i}",
                    address="0x" + key.address.hex(),
                    peer_id=f"peer{i}",
                    shard=0,
                    stake=32,
                    beacon=True,
                )
                for i, key in enumerate(KEYS)
            ],
            alloc={},
        ).check()
        self.rules = BeaconRules.of(genesis, KeccakSecp256k1())
        first = genesis_block(genesis, {ShardId(0): shard_genesis(genesis, ShardId(0))[0]})
        chain = BeaconChain(MemoryStore(), (first.block, first.nodes), self.rules)
        me = Address(KEYS[0].address)
        self.beacon = BeaconService(chain=chain, proposer=me, now=time.time)
        self.shard = ShardService(
            chain=ShardChain(MemoryStore(), genesis, ShardId(0)),
            beacon=chain,
            beacon_gate=self.beacon.gate,
            pool=TransactionPool(),
            worker=Worker(),
            now=time.time,
            stopwatch=time.perf_counter,
            coinbase=me,
        )

    def double_vote(self, key: SigningKey, height: int) -> DoubleSigning:
        def vote(block_id: bytes | None) -> Vote:
            context = self.rules.context_at(0, height)
            preimage = vote_sign_bytes(
                context, VoteType.PREVOTE, Height(height), Round(0), block_id
            )
            return Vote(
                type=VoteType.PREVOTE,
                height=Height(height),
                round=Round(0),
                block_id=block_id,
                validator=ConsensusAddress(key.address),
                signature=key.sign_digest(keccak256(preimage)),
            )

        return DoubleSigning(chain=0, evidence=make_evidence(vote(None), vote(keccak256(b"x"))))

    async def decide(self, service: BeaconService | ShardService, round_: int = 0) -> None:
        block_id, value = await service.build()
        certificate = Certificate(
            height=Height(service.head_height() + 1),
            round=Round(round_),
            block_id=block_id,
            signers=1,
            signatures=(b"s" * 65,),
        )
        await service.commit(block_id, value, certificate)


async def test_a_seat_ends_with_the_block_whose_parent_knows_of_it() -> None:
    net, culprit = Net(), ConsensusAddress(KEYS[3].address)
    assert net.beacon.accuse(net.double_vote(KEYS[3], 1))
    assert net.beacon.has_work()
    await net.decide(net.beacon)
    assert not net.beacon.has_work()
    assert culprit not in net.beacon.validators()
    assert net.beacon.is_jailed(Address(culprit))

    assert culprit in net.shard.validators()  # the genesis knows nothing of it
    await net.decide(net.shard)
    assert culprit not in net.shard.validators()
    assert culprit in net.shard.deciders(1)
    assert net.shard.deciders(2) == net.shard.validators()


@pytest.mark.parametrize("round_", range(4))
async def test_the_proposer_of_the_deciding_set_sends_the_crosslink(round_: int) -> None:
    net = Net()
    proposer = net.shard.validators().proposer(Height(1), Round(round_))
    sent: list[bytes] = []
    for key in KEYS:
        publisher = CrosslinkPublisher(
            shard=net.shard,
            beacon=net.beacon,
            me=key.address,
            send=lambda raw, key=key: sent.append(key.address),  # type: ignore[misc]
            on_new=lambda: None,
        )
        net.shard.on_commit.append(publisher.committed)
    net.beacon.accuse(net.double_vote(KEYS[3], 1))
    await net.decide(net.beacon)
    await net.decide(net.shard, round_)
    assert sent == [proposer.address]


async def test_reports_show_what_was_done() -> None:
    net = Net()
    names = {bytes(key.address): f"v{i}" for i, key in enumerate(KEYS)}
    net.beacon.accuse(net.double_vote(KEYS[3], 1))
    chain = net.beacon.ledger
    before = evidence_report(chain, net.beacon.evidence)
    assert [item["validator"] for item in before["pending"]] == ["0x" + KEYS[3].address.hex()]
    assert before["included"] == []
    await net.decide(net.beacon)

    rows = {row["name"]: row for row in validators_report(chain.state, names.get)}
    assert [rows[f"v{i}"]["jailedAt"] for i in range(4)] == [None, None, None, 1]
    assert (rows["v3"]["stake"], rows["v3"]["slashed"]) == (hex(8), hex(24))
    assert (rows["v3"]["power"], rows["v3"]["beaconPower"]) == ("0x0", "0x0")
    assert (rows["v0"]["power"], rows["v0"]["beaconPower"]) == (hex(32), hex(32))
    after = evidence_report(chain, net.beacon.evidence)
    assert (after["slashed"], after["pending"], after["frozen"]) == (hex(24), [], [])
    assert after["included"] == [{**before["pending"][0], "beaconHeight": 1}]
    assert after["included"][0]["signed"] == [None, "0x" + keccak256(b"x").hex()]
