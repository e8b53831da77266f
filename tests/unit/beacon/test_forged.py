"""What the beacon takes on a certificate it takes on a quorum of stake: crosslinks, forks, eras.

One validator of a shard, and one of the beacon, has nearly all of the stake; the others forge together.
"""

from contextlib import suppress
from dataclasses import replace
from itertools import product

import pytest

from consensus.types import BlockId, Height, Round
from node.beacon.crosslinks import check_crosslink
from node.beacon.era_proof import check_era
from node.beacon.eras import EraRecord
from node.beacon.evidence import ShardFork
from node.beacon.offences import check_early, check_item
from node.beacon.rewind import Rewind
from node.chains.beacon_app import BeaconService
from node.primitives.basics import ShardId, keccak256
from node.primitives.crosslink import Crosslink
from node.primitives.errors import InvalidBlock
from tests.simulation.simnet.forgery import Forgers, can_travel

S0 = ShardId(0)
STAKES = (40, 1, 1, 1, 1, 1, 1, 40)
"""Of two shards; the first of each has a seat in the beacon's committee, one heavy and one light."""


@pytest.fixture
def driver(make_net, make_driver):
    net = make_net(per_shard=4, stakes=STAKES, dev_methods=True)
    driver = make_driver(net, net.chain())
    driver.grow(driver.next(0), driver.next(1))
    return driver


def forgers(driver, context, members, real):
    """All but the heaviest."""
    heaviest = max(members, key=lambda member: member.power).address
    return Forgers(
        context=context,
        validators=members,
        keys=frozenset(m.address for m in members if m.address != heaviest),
        sign=lambda who, words: driver.net.by_address[who].sign_digest(keccak256(words)),
        real=real,
    )


def of_shard(driver):
    """Those of shard 0, who know what their shard and the beacon have decided."""
    chain = driver.chain
    real = [chain.crosslink(S0, 1).certificate, chain.certificate(1)]
    return forgers(driver, driver.net.rules.shard_context(S0), driver.deciders(0), real)


def test_a_crosslink_needs_a_quorum_of_stake(driver):
    """Of what was never decided, and of what was, in too few words or signatures."""
    crosslink = driver.next(0)
    keys = of_shard(driver)
    real = crosslink.certificate
    rows = [*keys.forged(Height(2), BlockId(crosslink.header.hash)), *keys.spoilt(real)]
    assert len(rows) > 20
    for lie, certificate in rows:
        forged = replace(crosslink, certificate=certificate)
        with pytest.raises(InvalidBlock):
            check_crosslink(driver.net.rules, driver.chain.state, forged)
        if can_travel(certificate):
            ((refused, _),) = driver.build(forged).refused
            assert refused is forged, lie
    driver.grow(crosslink)


def test_a_crosslink_that_does_not_fit_together_ends_nobody(driver):
    """Whatever stands beside whatever, the beacon's node refuses it by name."""
    driver.grow(driver.next(0))
    service = BeaconService(chain=driver.chain, proposer=driver.net.proposer, now=lambda: 0.0)
    known, other = driver.chain.crosslink(S0, 1), driver.chain.crosslink(S0, 2)
    coming, foreign = driver.next(0), driver.next(1)
    rows = [known, other, coming, foreign]
    new = []
    for shard, header, certificate in product(rows, repeat=3):
        mixed = Crosslink(
            shard=shard.shard,
            header=header.header,
            requests=header.requests,
            certificate=certificate.certificate,
        )
        with suppress(InvalidBlock):
            if service.offer(Crosslink.decode(mixed.encoded)):
                new.append(mixed)
        assert not service.evidence.all()
    assert new == [coming, foreign]


def test_a_fork_needs_two_quorums_of_stake(driver):
    """Nobody freezes a shard with a certificate of his own making beside the real one."""
    decided = driver.chain.crosslink(S0, 1).certificate
    keys, rival = of_shard(driver), BlockId(keccak256(b"rival"))
    for round in (0, 1):
        for lie, certificate in keys.forged(Height(1), rival, Round(round)):
            fork = ShardFork(
                shard=S0,
                **dict(
                    zip(
                        ("first", "second"),
                        sorted((decided, certificate), key=lambda c: (c.round, c.block_id)),
                        strict=True,
                    )
                ),
            )
            for check in (check_item, check_early):
                with pytest.raises(InvalidBlock):
                    check(driver.net.rules, driver.chain.state, 1, fork)
            if can_travel(certificate):
                assert driver.build(evidence=[fork]).block.body.evidence == (), lie
    assert driver.chain.state.frozen(S0) is None


def test_an_era_needs_a_quorum_of_the_beacons_stake(driver):
    chain = driver.chain
    rewind = Rewind(
        era=1, height=1, block_hash=chain.head.hash, taken=1, salt=bytes(16),
        tips=chain.tips_at(1),
    )  # fmt: skip
    block = chain.build_rewind(rewind, timestamp=0, proposer=driver.net.proposer).block
    context, members = driver.net.rules.beacon_context(), chain.beacon_committee()
    real = driver.net.certify(context, members, block.height, bytes(block.hash))
    keys = forgers(driver, context, members, [chain.certificate(1)])
    block_id = BlockId(block.hash)
    rows = [*keys.forged(Height(block.height), block_id), *keys.spoilt(real)]
    assert len(rows) > 20
    for lie, certificate in rows:
        with pytest.raises(InvalidBlock):
            check_era(chain, EraRecord(block=block, certificate=certificate))
        assert lie
    check_era(chain, EraRecord(block=block, certificate=real))
