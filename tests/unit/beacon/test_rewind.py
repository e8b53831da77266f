"""Rewinds as the beacon chain judges them, and how the beginning of an era is proven."""

from dataclasses import replace

import pytest

from node.beacon.block import BeaconBlock, BeaconBody
from node.beacon.era_proof import check_era
from node.beacon.era_store import begin_era, era_record, load_eras
from node.beacon.eras import EraRecord
from node.beacon.offences import check_item
from node.beacon.rewind import Rewind
from node.beacon.rewinding import rewind_beacon
from node.beacon.validators import BEACON_CHAIN
from node.chains.beacon_app import BeaconService
from node.primitives.basics import ShardId, keccak256
from node.primitives.errors import CorruptData, DecodeError, InvalidBlock
from tests.support.memory_store import MemoryStore

S0 = ShardId(0)


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def grown(make_net, make_driver, store):
    """A chain of four blocks where rewinds are allowed."""
    net = make_net(dev_methods=True)
    driver = make_driver(net, net.chain(store))
    for _ in range(4):
        driver.grow(driver.next(0), driver.next(1))
    return driver


def rewind_to(chain, at, /, **changes):
    block = chain.block(min(at, chain.head.height))
    fields = {
        "era": chain.rules.era + 1,
        "height": at,
        "block_hash": block.hash,
        "taken": 1,
        "salt": bytes(16),
        "tips": chain.tips_at(block.height),
    }
    return Rewind(**(fields | changes))


def build(driver, rewind):
    return driver.chain.build_rewind(rewind, timestamp=0, proposer=driver.net.proposer)


def decide(driver, rewind):
    execution = build(driver, rewind)
    certificate = driver.net.certify(
        driver.chain.rules.beacon_context(),
        driver.chain.beacon_committee(),
        execution.block.height,
        bytes(execution.block.hash),
    )
    return EraRecord(block=execution.block, certificate=certificate)


def go_back(driver, store, record):
    """The chain that a node has then."""
    begin_era(store, record)
    rewind_beacon(store, record.rewind.height)
    return driver.net.chain(store)


def test_a_rewind_changes_nothing_but_the_era(grown):
    execution = build(grown, rewind_to(grown.chain, 2))
    assert execution.state_root == grown.chain.head.header.state_root
    with pytest.raises(ValueError, match="begins an era"):
        grown.chain.commit(execution, grown.net.certificate_for(grown.chain, execution))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"era": 2}, "asked for in era 1"),
        ({"era": 0}, "asked for in era"),
        ({"height": 3}, "not in the chain"),
        ({"block_hash": keccak256(b"another")}, "not in the chain"),
        ({"tips": (2, 3)}, "other heights of the shards"),
        ({"tips": (2,)}, "other heights of the shards"),
    ],
)
def test_refused(grown, changes, reason):
    with pytest.raises(InvalidBlock, match=reason):
        build(grown, rewind_to(grown.chain, 2, **changes))


def test_refused_beyond_the_head(grown):
    with pytest.raises(InvalidBlock, match="not in the chain"):
        build(grown, rewind_to(grown.chain, 5))


def test_refused_where_the_genesis_does_not_allow_it(driver):
    driver.grow(driver.next(0))
    with pytest.raises(InvalidBlock, match="dev_methods"):
        build(driver, rewind_to(driver.chain, 0))
    with pytest.raises(InvalidBlock, match="allows no rewind"):
        check_era(
            driver.chain,
            EraRecord(
                block=replace(
                    driver.chain.head, body=BeaconBody(rewind=rewind_to(driver.chain, 0))
                ),
                certificate=driver.chain.certificate(1),
            ),
        )


def test_refused_with_anything_else_in_the_block(grown):
    rewind = rewind_to(grown.chain, 2)
    block = grown.build(grown.next(0)).block
    body = replace(block.body, rewind=rewind)
    header = replace(block.header, body_root=body.root)
    with pytest.raises(InvalidBlock, match="not alone"):
        grown.chain.judge(replace(block, header=header, body=body))


def test_refused_across_a_change_of_the_committee(make_net, make_driver):
    """Who knows the state that is gone back to could not tell who decided it."""
    net = make_net(shards=2, per_shard=2, dev_methods=True)
    driver = make_driver(net, net.chain())
    driver.grow(driver.next(0))
    driver.grow(evidence=(net.double_vote(2, chain=1, height=1),))
    build(driver, rewind_to(driver.chain, 2))
    with pytest.raises(InvalidBlock, match="a validator was jailed"):
        build(driver, rewind_to(driver.chain, 1))


def test_the_heights_after_it_are_signed_for_another_era(grown, store, make_driver):
    record = decide(grown, rewind_to(grown.chain, 2))
    chain = go_back(grown, store, record)
    assert (chain.head.height, chain.rules.era) == (2, 1)
    assert [chain.era_of(height) for height in (1, 2, 3)] == [0, 0, 1]
    assert chain.shard_context(S0, 2).era == 0
    assert chain.shard_context(S0, 3).signed_tag == b"shard/0+1"

    driver = make_driver(grown.net, chain)
    crosslink = driver.next(0)  # by a committee that is still in era 0
    ((_, reason),) = driver.build(crosslink).refused
    assert "certificate" in reason
    grown.net.rules = chain.rules
    driver = make_driver(grown.net, chain)
    grown_again = driver.grow(driver.next(0))
    assert chain.head == grown_again.block
    assert chain.rules.era == 1


def test_the_beginning_of_an_era_is_proven_to_whoever_has_the_block_that_it_goes_to(
    grown, store, make_driver
):
    record = decide(grown, rewind_to(grown.chain, 2))
    assert EraRecord.decode(record.encoded) == record
    check_era(grown.chain, record)  # at the head
    again = go_back(grown, store, record)
    with pytest.raises(InvalidBlock, match="we are in era 1"):
        check_era(again, record)
    assert load_eras(store).newest == record.rewind
    assert era_record(store, 1) == record.encoded


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (lambda r, c: replace(r, certificate=c), "for another block"),
        (lambda r, c: _renamed(r, tips=(9, 9)), "not what it says"),
        (lambda r, c: _renamed(r, block_hash=keccak256(b"x")), "not in our chain"),
        (lambda r, c: _renamed(r, height=3), "not in our chain"),
        (lambda r, c: _renamed(r, taken=9), "not what it says"),
        (lambda r, c: _unsigned(r), "certificate"),
    ],
)
def test_a_beginning_that_is_not_proven(grown, forge, reason):
    record = decide(grown, rewind_to(grown.chain, 2))
    with pytest.raises(InvalidBlock, match=reason):
        check_era(grown.chain, forge(record, grown.chain.certificate(4)))


def _renamed(record, **changes):
    """Says something else than what was signed."""
    body = BeaconBody(rewind=replace(record.rewind, **changes))
    return replace(record, block=replace(record.block, body=body))


def _unsigned(record):
    certificate = record.certificate
    signatures = tuple(bytes(65) for _ in certificate.signatures)
    return replace(record, certificate=replace(certificate, signatures=signatures))


def test_what_is_signed_in_one_era_proves_none_in_another(grown, store):
    """The certificate of a rewind is for the era that it ends."""
    record = decide(grown, rewind_to(grown.chain, 2))
    later = _renamed(record, era=2)
    body_root = later.block.body.root
    block = replace(later.block, header=replace(later.block.header, body_root=body_root))
    certificate = grown.net.certify(
        grown.chain.rules.beacon_context(),
        grown.chain.beacon_committee(),
        block.height,
        bytes(block.hash),
    )
    with pytest.raises(InvalidBlock, match="certificate"):
        check_era(grown.chain, EraRecord(block=block, certificate=certificate))


def test_records_on_the_disk(grown, store):
    begin_era(store, decide(grown, rewind_to(grown.chain, 1)))
    assert [rewind.era for rewind in load_eras(store)] == [1]
    store.write({b"b/r/" + (2).to_bytes(8, "big"): b"\xc0"}, sync=True)
    with pytest.raises(CorruptData, match="of an era"):
        load_eras(store)
    with pytest.raises(DecodeError):
        EraRecord.decode(bytes(1 << 20))


@pytest.mark.parametrize("behind", [0, 100, 100_000])
async def test_a_rewind_is_dated_by_the_clock_that_the_validators_have(grown, behind):
    """One that is behind, too: else none of the others would take the block for one of this time."""
    head = grown.chain.head.header.timestamp
    ours, another = (
        BeaconService(
            chain=grown.chain, proposer=grown.net.proposer, now=lambda: head + 100_000 - behind
        )
        for _ in range(2)
    )
    assert ours.want_rewind(rewind_to(grown.chain, 2))
    block_id, value = await ours.build()
    assert BeaconBlock.decode(value).header.timestamp == head + 100_000 - behind
    assert await another.judge(value, decided=False) == block_id


def test_what_was_signed_before_a_rewind_is_punished_after_it(make_net, store, make_driver):
    """Heights that the rewind left stand in the chain: their era is that in which they were decided."""
    net = make_net(dev_methods=True, per_shard=2)
    grown = make_driver(net, net.chain(store))
    for _ in range(4):
        grown.grow(grown.next(0), grown.next(1))
    rules = grown.chain.rules
    before = [net.double_vote(1, height=2), net.double_vote(0, chain=BEACON_CHAIN, height=1)]
    undone = net.double_vote(1, height=4)
    record = decide(grown, rewind_to(grown.chain, 2))
    chain = go_back(grown, store, record)
    net.rules = chain.rules
    driver = make_driver(net, chain)
    for item in before:
        check_item(chain.rules, chain.state, chain.head.height, item)
    driver.grow(driver.next(0))
    driver.grow(driver.next(0))
    with pytest.raises(InvalidBlock, match="not signed"):  # for what is there now
        check_item(chain.rules, chain.state, chain.head.height, undone)
    check_item(chain.rules, chain.state, chain.head.height, net.double_vote(1, height=4))
    # A block of the era before, as a node that syncs judges it: what began later is nothing to it.
    early = replace(chain.rules, era=rules.era)
    newest = net.double_vote(1, height=3)
    net.rules = early
    in_time = net.double_vote(1, height=3)
    assert newest != in_time
    check_item(early, chain.state, chain.head.height, in_time)
