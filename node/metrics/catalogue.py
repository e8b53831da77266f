"""Every family of metrics, by what it is about. docs/observability.md lists them, from here.

`chain` is `shard` or `beacon`, `shard` the number of a shard (the node's own, unless the help says otherwise;
the beacon has none), `peer` the name of a node, `channel` and `method` are names on the wire.
"""

from typing import get_args

from node.metrics.exposition import Family, Kind

_TABLE = """
== The node
atoll_build_info gauge version,python
    1, with the version of the program.
atoll_node_info gauge name,shard,role,beacon,genesis
    1, with the node's name, shard, role (validator or follower), whether it sits in the first
    beacon committee, and the first 8 bytes of the genesis.
atoll_ready gauge
    1 where /readyz answers 200.
atoll_ready_check gauge check
    1 where a check of /readyz holds.
atoll_log_events_total counter level
    Log lines written, by level.
atoll_convenience_failures_total counter what
    Unexpected failures of what runs beside consensus, by what failed: audit, lag, news, log of blocks,
    spans, publisher, evidence, gossip. It goes on or begins anew; the log has the trace.

== Consensus
atoll_consensus_height gauge chain,shard
    Height of the last decided block.
atoll_consensus_round gauge chain,shard
    Round of the height that is being decided.
atoll_consensus_last_block_timestamp_seconds gauge chain,shard
    When this node last took a block of the chain in, since it was started.
atoll_consensus_blocks_total counter chain,shard,by
    Blocks taken in: decided with this node's own votes counted (consensus), or with the
    certificate of others (sync).
atoll_consensus_rounds_total counter chain,shard
    Rounds begun, the first of every height included.
atoll_consensus_timeouts_total counter chain,shard,kind
    Timeouts that elapsed.
atoll_consensus_decision_seconds histogram chain,shard
    From the beginning of a height here to its decision.
atoll_consensus_proposals_total counter chain,shard,outcome
    Proposals: sent, or received and found valid or invalid.
atoll_consensus_votes_total counter chain,shard,type,direction
    Votes sent, and votes received that were new.
atoll_consensus_equivocations_total counter chain,shard
    Contradictions of a key that were seen.
atoll_consensus_validators gauge chain,shard
    Validators that decide the next height.
atoll_consensus_missing_validators gauge chain,shard
    Those of them that this node is not connected to.
atoll_consensus_unsigned_validators gauge chain,shard
    Validators whose precommit is not in the last certificate here; a quorum is enough for one.
atoll_consensus_signing gauge chain,shard
    1 where this node's key decides the next height.
atoll_consensus_mailbox_events gauge chain,shard
    Frames and events that wait for the host of the chain.

== Network
atoll_p2p_peers gauge state
    Peers of the configuration, connected or not.
atoll_p2p_peer_connected gauge peer
    1 while a peer is connected.
atoll_p2p_peer_connects_total counter peer
    Connections made with a peer; one more than reconnections.
atoll_p2p_peer_rtt_seconds gauge peer
    Round trip to a peer, smoothed.
atoll_p2p_peer_penalties_total counter peer
    Times that a peer broke the protocol and was kept out for a while.
atoll_p2p_strangers gauge
    Connections of peers that are not of the network: they may ping and identify the node, and nothing else.
atoll_p2p_stranger_connections_total counter
    Connections of such peers since the start.
atoll_p2p_dropped_frames_total counter channel
    Frames given up since the queue to a peer was full.
atoll_p2p_frames_total counter channel,direction
    Frames, by channel.
atoll_p2p_frame_bytes_total counter channel,direction
    Payload bytes of frames, by channel.
atoll_p2p_requests_total counter method,direction
    Requests between nodes, by method.
atoll_p2p_bytes_total counter direction
    Bytes on both streams of all peers, above Noise and Yamux.
atoll_p2p_queued_bytes gauge
    Payload bytes of frames that wait for all peers together.

== Transaction pool
atoll_pool_transactions gauge shard,state
    Pooled transactions: pending can be executed, queued wait for a missing nonce.
atoll_pool_bytes gauge shard
    Wire bytes of pooled transactions.
atoll_pool_waiting_transactions gauge shard
    Pooled transactions that found no room on a lane when this node last built a block.
atoll_pool_admitted_total counter shard,source
    Transactions taken into the pool.
atoll_pool_refused_total counter shard,reason
    Transactions not taken into the pool, by why.
atoll_pool_evicted_total counter shard
    Transactions that gave way to better ones.
atoll_pool_dropped_total counter shard
    Transactions that this node found impossible when it built a block.
atoll_pool_operations gauge shard
    Development operations that wait for a block.

== Shard chain and execution
atoll_chain_transactions_total counter shard
    Transactions of users in blocks taken in.
atoll_chain_gas_used_total counter shard
    Gas used by blocks taken in.
atoll_chain_messages_total counter shard,direction
    Messages that blocks taken in sent or delivered.
atoll_chain_operations_total counter shard
    Development operations in blocks taken in.
atoll_chain_base_fee_wei gauge shard
    Base fee of the last block, per gas.
atoll_chain_gas_limit gauge shard
    Gas limit of the last block.
atoll_execution_block_seconds histogram shard,step
    Time to build, judge or commit a block, waiting for the block thread included.
atoll_execution_calls gauge state
    Executions for users that run now (running), and that wait for a thread (waiting).
atoll_state_cache_nodes gauge shard
    Decoded trie nodes in memory.
atoll_state_cache_loads_total counter shard,source
    Trie nodes that were not among the recently used: found among the older ones (old), or read
    from the database (database).

== Lanes between shards
atoll_lane_sent_messages_total counter src,dst
    Messages that the lane's source has sent since the genesis; on nodes of the source.
atoll_lane_crosslinked_messages_total counter src,dst
    How many of them the beacon has finalised.
atoll_lane_delivered_messages_total counter src,dst
    How many were delivered, as the beacon knows.
atoll_lane_inbox_messages_total counter src,dst
    How many were delivered, as the destination's own block has it; on nodes of the destination.
atoll_lane_held_messages gauge src,dst
    Messages pulled and checked that wait for a block; on nodes of the destination.
atoll_lane_in_flight_messages gauge src,dst
    Messages sent and not known to be delivered; on nodes of the source.
atoll_lane_in_flight_gas gauge src,dst
    The gas of those of them that were asked for, and do not just follow from arrivals: what the window bounds.
atoll_lane_window_ratio gauge src,dst
    How full the lane is, by messages that were asked for or by their gas, whichever is more; at 1 it takes no
    more.
atoll_lane_oldest_age_seconds gauge src,dst
    Since the block of the oldest message in flight, 0 without one; on nodes of the source.
atoll_lane_in_flight_wei gauge src,dst
    Wei under way, of all lanes, at the audited network block.

== Audit
atoll_audit_difference_wei gauge
    Wei that there is too much (below 0: too little). Anything but 0 is a bug of the protocol.
atoll_audit_shard_difference_wei gauge shard
    Wei that the accounts of a shard have too much (below 0: too little), by the beacon's books.
atoll_audit_wei gauge term
    The terms of the account: balances, in_flight, stake, burned, genesis, issued.
atoll_audit_block gauge
    The network block that was audited last.
atoll_audit_timestamp_seconds gauge
    When that was.
atoll_audit_duration_seconds gauge
    How long it took.
atoll_audit_runs_total counter outcome
    Audits, by outcome: balanced, unbalanced, or failed (a shard did not answer).

== JSON-RPC
atoll_rpc_requests_total counter method,outcome
    Calls, by method and outcome: ok, error (an answer of the protocol), timeout, internal (a
    bug), cancelled (the caller left).
atoll_rpc_request_seconds histogram method
    Time of calls, by method.
atoll_rpc_connections gauge protocol
    Open connections, by protocol.
atoll_rpc_refused_connections_total counter
    Connections that were refused, or gave way to others, since there were too many.
atoll_rpc_subscriptions gauge
    Subscriptions of all WebSockets.
atoll_rpc_filters gauge
    Filters that have not expired.

== Storage
atoll_storage_bytes gauge part
    Bytes of files: the database, the logs of consensus.
atoll_storage_free_bytes gauge
    Free bytes where the data directory is.
atoll_storage_batches_total counter
    Batches written to the database; every block is one, synced.
atoll_storage_batch_bytes_total counter
    Bytes of keys and values in them.
atoll_storage_batch_seconds_total counter
    Time that writing them took.
atoll_wal_bytes_total counter chain,shard
    Bytes appended to the write-ahead log.
atoll_wal_syncs_total counter chain,shard,file
    Waits for the disk: by the log itself (log), and by the last-signed record, which carries
    the log's end (record).
atoll_wal_sync_seconds_total counter chain,shard,file
    Time of these waits.

== Beacon
atoll_network_head gauge
    The highest network block that this node can show.
atoll_beacon_tip_height gauge shard
    Height up to which the beacon has taken in a shard, any shard.
atoll_beacon_lag_blocks gauge shard
    Blocks of this node's shard that the beacon has not taken in.
atoll_beacon_lag_seconds gauge shard
    Seconds since the beacon took in a block of this node's shard, while it lacks some.
atoll_beacon_crosslinks_total counter shard
    Crosslinks of a shard, any shard, in beacon blocks taken in.
atoll_beacon_pending_crosslinks gauge shard
    Verified crosslinks that wait for a beacon block.
atoll_beacon_pending_evidence gauge
    Evidence that waits for a beacon block.
atoll_beacon_jailed_validators gauge
    Validators that were jailed.
atoll_beacon_frozen_shards gauge
    Shards that were proven to have forked.

== Process
process_cpu_seconds_total counter
    User and system CPU time.
process_resident_memory_bytes gauge
    Resident memory.
process_virtual_memory_bytes gauge
    Virtual memory; each thread has 256 MiB of stack reserved.
process_start_time_seconds gauge
    When the process was started.
process_open_fds gauge
    Open file descriptors.
process_max_fds gauge
    The most that may be open.
process_threads gauge
    Threads.
python_gc_collections_total counter generation
    Runs of the garbage collector.
python_gc_objects_collected_total counter generation
    Objects that it found.
atoll_event_loop_lag_seconds histogram
    How late a task that sleeps for a second wakes: what everything on the event loop waits.
atoll_scrape_seconds gauge
    Time that collecting the previous answer of /metrics took.
"""


def _parse(table: str) -> dict[str, list[Family]]:
    """Groups by title. A group begins `== TITLE`, a family `NAME KIND LABELS`; its help is indented."""
    groups: dict[str, list[Family]] = {}
    for paragraph in table.strip().split("\n== "):
        title, *lines = paragraph.removeprefix("== ").split("\n")
        heads = [i for i, line in enumerate(lines) if line and not line.startswith(" ")]
        groups[title] = [
            _family(lines[start], lines[start + 1 : end])
            for start, end in zip(heads, [*heads[1:], len(lines)], strict=True)
        ]
    return groups


def _family(head: str, body: list[str]) -> Family:
    name, kind, *labels = head.replace(",", " ").split()
    found: Kind = next(known for known in get_args(Kind) if known == kind)
    return Family(
        name=name, kind=found, help=" ".join(" ".join(body).split()), labels=tuple(labels)
    )


GROUPS: dict[str, list[Family]] = _parse(_TABLE)
FAMILIES: dict[str, Family] = {f.name: f for group in GROUPS.values() for f in group}
