"""Samples about the two chains of a node: consensus, pool, blocks, lanes, beacon."""

import time
from collections.abc import Iterable

import trio

from consensus.types import Certificate
from node.beacon.block import BeaconBlock
from node.engine.host import ConsensusHost
from node.metrics.exposition import Sheet
from node.primitives.basics import ShardId
from node.runtime.parts import Era, Fixed
from node.runtime.report.health import Health
from node.shard import messenger
from node.shard.run import ExecutedBlock
from node.shard.schedule import Schedule

VOTE_TYPES = ("prevote", "precommit")
TIMEOUT_KINDS = ("propose", "prevote", "precommit", "rebroadcast")
REFUSALS = (
    "funds",
    "full",
    "impossible",
    "invalid",
    "known",
    "lane",
    "malformed",
    "nonce",
    "underpriced",
)


class ShardTotals:
    """Totals of the committed shard blocks and crosslinks."""

    def __init__(self, shards: Iterable[int]) -> None:
        self.transactions = self.gas = self.sent = self.delivered = self.operations = 0
        self.crosslinks = dict.fromkeys(shards, 0)

    def follow(self, era: Era) -> None:
        """Count the committed blocks of an era, too."""
        era.shard.on_commit.append(self._shard_block)
        era.beacon.on_commit.append(self._beacon_block)

    def _shard_block(self, executed: ExecutedBlock, _: Certificate) -> None:
        self.transactions += len(executed.decoded)
        self.gas += executed.header.gas_used
        self.sent += len(executed.sent)
        self.delivered += len(executed.delivered)
        self.operations += len(executed.operations)

    def _beacon_block(self, block: BeaconBlock, _: Certificate) -> None:
        for crosslink in block.body.crosslinks:
            self.crosslinks[crosslink.shard] += 1


def consensus(fixed: Fixed, era: Era, sheet: Sheet) -> None:
    for chain, shard, host in (
        ("shard", str(fixed.shard), era.hosts.shard),
        ("beacon", "", era.hosts.beacon),
    ):
        _engine(sheet, host, chain, shard)
        _committee(fixed, sheet, host, chain, shard)
        _disk(sheet, host, chain, shard)


def _engine(sheet: Sheet, host: ConsensusHost, chain: str, shard: str) -> None:
    status, counts = host.status(), host.counts
    sheet.put("atoll_consensus_height", status["height"], chain, shard)
    sheet.put("atoll_consensus_round", status["round"], chain, shard)
    if counts.committed_at is not None:
        committed_at = time.time() - (trio.current_time() - counts.committed_at)
        sheet.put("atoll_consensus_last_block_timestamp_seconds", committed_at, chain, shard)
    sheet.put("atoll_consensus_blocks_total", counts.decided, chain, shard, "consensus")
    sheet.put("atoll_consensus_blocks_total", counts.synced, chain, shard, "sync")
    sheet.put("atoll_consensus_rounds_total", counts.rounds, chain, shard)
    for kind in TIMEOUT_KINDS:
        sheet.put("atoll_consensus_timeouts_total", counts.timeouts[kind], chain, shard, kind)
    for outcome in ("sent", "valid", "invalid"):
        sheet.put(
            "atoll_consensus_proposals_total", counts.proposals[outcome], chain, shard, outcome
        )
    for vote in VOTE_TYPES:
        for direction in ("sent", "received"):
            number = counts.votes[vote, direction]
            sheet.put("atoll_consensus_votes_total", number, chain, shard, vote, direction)
    sheet.put("atoll_consensus_equivocations_total", counts.equivocations, chain, shard)
    sheet.histogram("atoll_consensus_decision_seconds", counts.decision_seconds, chain, shard)
    sheet.put("atoll_consensus_mailbox_events", host.waiting_events, chain, shard)


def _committee(fixed: Fixed, sheet: Sheet, host: ConsensusHost, chain: str, shard: str) -> None:
    committee = host.app.validators()
    here = {
        fixed.topology.address_of(peer) for peer in (*fixed.network.connected, fixed.topology.me)
    }
    missing = sum(validator.address not in here for validator in committee.validators)
    signing = host.participant is not None and host.participant.is_member
    sheet.put("atoll_consensus_validators", len(committee), chain, shard)
    sheet.put("atoll_consensus_missing_validators", missing, chain, shard)
    sheet.put("atoll_consensus_unsigned_validators", host.counts.unsigned, chain, shard)
    sheet.put("atoll_consensus_signing", signing, chain, shard)


def _disk(sheet: Sheet, host: ConsensusHost, chain: str, shard: str) -> None:
    if host.participant is None:
        return
    log, record = host.participant.files
    sheet.put("atoll_wal_bytes_total", log.written_bytes, chain, shard)
    sheet.put("atoll_wal_syncs_total", log.syncs, chain, shard, "log")
    sheet.put("atoll_wal_syncs_total", record.writes, chain, shard, "record")
    sheet.put("atoll_wal_sync_seconds_total", log.sync_seconds, chain, shard, "log")
    sheet.put("atoll_wal_sync_seconds_total", record.write_seconds, chain, shard, "record")


def pool(fixed: Fixed, era: Era, sheet: Sheet) -> None:
    service, shard = era.shard, fixed.shard
    pending, queued = service.pool.counts()
    sheet.put("atoll_pool_transactions", pending, shard, "pending")
    sheet.put("atoll_pool_transactions", queued, shard, "queued")
    sheet.put("atoll_pool_bytes", service.pool.size_bytes, shard)
    sheet.put("atoll_pool_waiting_transactions", service.waiting(), shard)
    for source in ("user", "peer"):
        sheet.put("atoll_pool_admitted_total", era.gossip.counted.admitted[source], shard, source)
    for reason in REFUSALS:
        sheet.put("atoll_pool_refused_total", era.gossip.counted.refused[reason], shard, reason)
    sheet.put("atoll_pool_evicted_total", service.pool.evicted, shard)
    sheet.put("atoll_pool_dropped_total", service.counts.dropped, shard)
    sheet.put("atoll_pool_operations", len(service.dev_queue), shard)


def blocks(fixed: Fixed, era: Era, totals: ShardTotals, sheet: Sheet) -> None:
    shard, head, service = fixed.shard, era.shard_chain.head, era.shard
    sheet.put("atoll_chain_transactions_total", totals.transactions, shard)
    sheet.put("atoll_chain_gas_used_total", totals.gas, shard)
    sheet.put("atoll_chain_messages_total", totals.sent, shard, "sent")
    sheet.put("atoll_chain_messages_total", totals.delivered, shard, "delivered")
    sheet.put("atoll_chain_operations_total", totals.operations, shard)
    sheet.put("atoll_chain_base_fee_wei", head.base_fee_per_gas, shard)
    sheet.put("atoll_chain_gas_limit", head.gas_limit, shard)
    for step, seconds in service.counts.seconds.items():
        sheet.histogram("atoll_execution_block_seconds", seconds, shard, step)
    running, waiting = fixed.worker.calls
    sheet.put("atoll_execution_calls", running, "running")
    sheet.put("atoll_execution_calls", waiting, "waiting")
    old, read = era.shard_chain.node_loads
    sheet.put("atoll_state_cache_nodes", era.shard_chain.cached_nodes, shard)
    sheet.put("atoll_state_cache_loads_total", old, shard, "old")
    sheet.put("atoll_state_cache_loads_total", read, shard, "database")


def lanes(fixed: Fixed, era: Era, sheet: Sheet) -> None:
    here, beacon, params = fixed.shard, era.beacon_chain.state, fixed.genesis.params
    state = era.shard_chain.state()
    for peer in map(ShardId, fixed.genesis.shard_ids()):
        if peer == here:
            continue
        outbound, sent = beacon.lane(here, peer), messenger.outbox(state, peer)
        flight = max(0, sent.count - outbound.consumed)
        asked = max(0, sent.asked - outbound.consumed_asked)
        gas = max(0, sent.gas - outbound.consumed_gas)
        use = max(asked / params.lane_window, gas / params.lane_gas_window)
        sheet.put("atoll_lane_sent_messages_total", sent.count, here, peer)
        sheet.put("atoll_lane_crosslinked_messages_total", outbound.last, here, peer)
        sheet.put("atoll_lane_delivered_messages_total", outbound.consumed, here, peer)
        sheet.put("atoll_lane_in_flight_messages", flight, here, peer)
        sheet.put("atoll_lane_in_flight_gas", gas, here, peer)
        sheet.put("atoll_lane_window_ratio", round(use, 6), here, peer)
        sheet.put(
            "atoll_lane_oldest_age_seconds",
            _age(fixed, era, peer, outbound.consumed) if flight else 0.0,
            here,
            peer,
        )
        inbound = era.shard.lanes[peer]
        sheet.put("atoll_lane_inbox_messages_total", era.shard.inbox(peer), peer, here)
        sheet.put("atoll_lane_held_messages", len(inbound.verified), peer, here)


def _age(fixed: Fixed, era: Era, dst: ShardId, seq: int) -> float | None:
    """Seconds since the block of a message that we sent."""
    found = era.shard_chain.sent(dst, seq)
    if found is None:
        return None
    now = fixed.faults.time() + Schedule.of(era.shard_chain.state()).clock
    return max(0.0, round(now - era.shard_chain.header(found[0]).timestamp, 3))


def beacon(fixed: Fixed, era: Era, totals: ShardTotals, healthy: Health, sheet: Sheet) -> None:
    state, service = era.beacon_chain.state, era.beacon
    waiting = service.pending.counts()
    sheet.put("atoll_network_head", era.head.height())
    for shard in map(ShardId, fixed.genesis.shard_ids()):
        sheet.put("atoll_beacon_tip_height", state.tip(shard).height, shard)
        sheet.put("atoll_beacon_crosslinks_total", totals.crosslinks[shard], shard)
        sheet.put("atoll_beacon_pending_crosslinks", waiting.get(shard, 0), shard)
    sheet.put("atoll_beacon_lag_blocks", era.shard.uncrosslinked(), fixed.shard)
    lag = healthy.uncrosslinked_seconds()
    sheet.put("atoll_beacon_lag_seconds", round(lag, 3), fixed.shard)
    sheet.put("atoll_beacon_pending_evidence", len(service.evidence))
    jailed = sum(record.jailed_at is not None for record in state.validators())
    sheet.put("atoll_beacon_jailed_validators", jailed)
    frozen = sum(service.is_frozen(ShardId(shard)) for shard in fixed.genesis.shard_ids())
    sheet.put("atoll_beacon_frozen_shards", frozen)
