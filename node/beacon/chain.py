"""The beacon chain on disk: the committed blocks, their states, and the indexes over them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from consensus.codec import decode_certificate, encode_certificate
from consensus.errors import ConsensusError
from consensus.signing import verify_certificate
from consensus.types import Certificate, ChainContext, ValidatorSet
from node.beacon import schema, transition
from node.beacon.block import BeaconBlock
from node.beacon.committees import deciders
from node.beacon.crosslinks import apply_crosslink, is_decided
from node.beacon.era_store import era_record, load_eras
from node.beacon.eras import Eras
from node.beacon.evidence import EvidenceItem
from node.beacon.offences import check_item
from node.beacon.rewind import Rewind
from node.beacon.rules import BeaconRules, validator_set
from node.beacon.state import BeaconState, BeaconStateWriter
from node.beacon.transition import BeaconExecution, Births
from node.concurrency.caching import Lru
from node.execution.trie.trie import Trie
from node.execution.trie.trie_cache import NodeCache
from node.primitives import rlp
from node.primitives.basics import Address, Hash32, ShardId
from node.primitives.crosslink import Crosslink
from node.primitives.decoding import decoder, decoding
from node.primitives.errors import CorruptData, InvalidBlock, UserError
from node.storage.kv import KeyValueStore

MAX_RECENT_STATES = 64
MAX_RECENT_BLOCKS = 256
MAX_CACHED_NODES = 50_000  # decoded trie nodes of all states together


class BeaconChain:
    """The finalised chain of this node. `head` and `state` are those of the newest committed block.

    `genesis` is the result of `transition.genesis_block`. It is written to an empty store; a store of
    another network raises UserError. Reading what the disk has lost raises CorruptData. One writer:
    `commit` may not run twice at a time.
    """

    def __init__(
        self,
        store: KeyValueStore,
        genesis: tuple[BeaconBlock, Mapping[bytes, bytes]],
        rules: BeaconRules,
        *,
        cache_nodes: int = MAX_CACHED_NODES,
    ) -> None:
        self._store = store
        self._rules = rules
        self._eras = load_eras(store)
        self._blocks: Lru[int, BeaconBlock] = Lru(MAX_RECENT_BLOCKS)
        self._states: Lru[int, BeaconState] = Lru(MAX_RECENT_STATES)
        self._nodes = NodeCache(min(cache_nodes, MAX_CACHED_NODES))
        block, nodes = genesis
        stored = store.get(schema.HEAD)
        if stored is None:
            self._write(block, nodes, None, ())
            self._blocks.put(0, block)
            self._head = block
        else:
            self._head = self._required(schema.decode_height(stored))
            if self._required(0).hash != block.hash:
                raise UserError(
                    "the data directory belongs to another network: its beacon genesis is "
                    f"0x{self._required(0).hash.hex()}, this network's is 0x{block.hash.hex()}; "
                    "use the genesis file it was made with, or an empty data directory"
                )
        self._state = self._open_state(self._head)

    @property
    def rules(self) -> BeaconRules:
        """The rules of the block after the head, which is of a later era than ours if there was a rewind."""
        era = self._eras.at(self._head.height + 1)
        if (era, self._eras) != (self._rules.era, self._rules.eras):
            self._rules = replace(self._rules, era=era, eras=self._eras)
        return self._rules

    @property
    def eras(self) -> Eras:
        """The eras that the heights were decided in."""
        return self._eras

    def era_after(self, era: int) -> bytes | None:
        """The encoded record of the era that a node of era `era` goes on with; None if there is none here."""
        later = self._eras.after(era)
        return None if later is None else era_record(self._store, later.era)

    def era_of(self, height: int) -> int:
        """The era in which the beacon block of that height was decided, and the shard blocks in it."""
        return self._eras.at(height)

    def shard_context(self, shard: ShardId, height: int) -> ChainContext:
        """The chain context that the decision of that shard block is signed for."""
        rules = replace(self._rules, era=self._eras.at_shard(shard, height))
        return rules.shard_context(shard)

    @property
    def head(self) -> BeaconBlock:
        return self._head

    @property
    def state(self) -> BeaconState:
        """The state at the head."""
        return self._state

    # ------------------------------------------------------------------ reading

    def block(self, height: int) -> BeaconBlock | None:
        """The committed block of that height, or None beyond the head."""
        if not 0 <= height <= self._head.height:
            return None
        return self._required(height)

    def height_of(self, block_hash: Hash32) -> int | None:
        """The height of a committed block, None for any other hash. The `anchor_height_of` of the rules."""
        return self._upto_head(self._store.get(schema.height_key(block_hash)))

    def _upto_head(self, raw: bytes | None) -> int | None:
        """A height on disk; None if there is none, or that of a block which is being written just now."""
        height = None if raw is None else schema.decode_height(raw)
        return height if height is not None and height <= self._head.height else None

    def certificate(self, height: int) -> Certificate | None:
        """The certificate of the block of that height; None for the genesis and beyond the head."""
        if not 0 < height <= self._head.height:
            return None
        raw = self._store.get(schema.certificate_key(height))
        if raw is None:
            raise CorruptData(f"beacon chain: the certificate of height {height} is missing")
        with decoding(f"beacon chain: certificate of height {height}", CorruptData):
            return decode_certificate(raw)

    def state_at(self, height: int) -> BeaconState:
        """The state after the block of that height. Raises LookupError beyond the head."""
        if height == self._head.height:
            return self._state
        state = self._states.get(height)
        if state is None:
            block = self.block(height)
            if block is None:
                raise LookupError(f"there is no beacon block {height} yet")
            state = self._open_state(block)
            self._states.put(height, state)
        return state

    @property
    def read_node(self) -> Callable[[bytes], bytes | None]:
        """The body of a trie node by its hash."""
        return self._read_node

    def crosslinked_in(self, shard: ShardId, shard_height: int) -> int | None:
        """The height of the beacon block that includes that shard block; None if none does."""
        if shard_height < 0:
            return None
        return self._upto_head(self._store.get(schema.crosslink_key(shard, shard_height)))

    def births_between(self, after: int, upto: int) -> list[tuple[Address, ShardId]]:
        """The births that beacon blocks `after` + 1 to `upto` added to the directory, in the order of the
        blocks.

        Raises LookupError if `upto` is beyond the head.
        """
        if upto > self._head.height:
            raise LookupError(f"there is no beacon block {upto} yet")
        if upto <= after:
            return []
        births: list[tuple[Address, ShardId]] = []
        first = schema.births_key(max(after, 0) + 1)
        for key, raw in self._store.iterate(schema.BIRTHS_PREFIX, start=first):
            if schema.decode_height(key[len(schema.BIRTHS_PREFIX) :]) > upto:
                break
            births.extend(_decode_births(raw))
        return births

    def crosslink(self, shard: ShardId, shard_height: int) -> Crosslink | None:
        """The crosslink of that shard block; None for the genesis and for blocks that are not crosslinked."""
        height = self.crosslinked_in(shard, shard_height)
        crosslinks = self._required(height).body.crosslinks if height is not None else ()
        wanted = (shard, shard_height)
        return next((c for c in crosslinks if (c.shard, c.height) == wanted), None)

    def evidence_between(self, after: int, upto: int) -> list[tuple[int, EvidenceItem]]:
        """(height, evidence) of beacon blocks `after` + 1 to `upto`, in the order of the blocks.

        Raises LookupError if `upto` is beyond the head.
        """
        if upto > self._head.height:
            raise LookupError(f"there is no beacon block {upto} yet")
        found: list[tuple[int, EvidenceItem]] = []
        first = schema.evidence_key(max(after, 0) + 1)
        for key, _ in self._store.iterate(schema.EVIDENCE_PREFIX, start=first):
            height = schema.decode_height(key[len(schema.EVIDENCE_PREFIX) :])
            if height > upto:
                break
            found.extend((height, item) for item in self._required(height).body.evidence)
        return found

    # ------------------------------------------------------------------ committees

    def committee(self, shard: ShardId) -> ValidatorSet:
        """The committee of the block of `shard` whose parent is anchored to the head.

        Raises LookupError for no such shard.
        """
        return validator_set(self._state.committee(shard))

    def committee_at(self, shard: ShardId, anchor_height: int) -> ValidatorSet:
        """The committee of the block of `shard` whose parent is anchored at that beacon height.

        Any height up to the head. Raises LookupError beyond it, and for no such shard.
        """
        if anchor_height > self._head.height:
            raise LookupError(f"there is no beacon block {anchor_height} yet")
        if anchor_height >= self._state.roster(shard).known_from:
            return validator_set(self._state.committee(shard, anchor_height))
        return validator_set(self.state_at(anchor_height).committee(shard))

    def beacon_committee(self) -> ValidatorSet:
        """The committee of the block after the head."""
        return validator_set(self._state.beacon_committee())

    # ------------------------------------------------------------------ the next block

    def judge(self, block: BeaconBlock) -> BeaconExecution:
        """Execute a block on top of the head. Raises InvalidBlock."""
        execution = transition.judge(
            self.rules, self._head.header, self._state, block, anchor_height_of=self.height_of
        )
        if block.body.rewind is not None and block.body.rewind.tips != self.tips_at(
            block.body.rewind.height
        ):
            raise InvalidBlock("a rewind that names other heights of the shards than there were")
        return execution

    def tips_at(self, height: int) -> tuple[int, ...]:
        """The heights of all shards in the state after that block. Raises LookupError beyond the head."""
        tips = self.state_at(height).tips()
        return tuple(tips[shard].height for shard in sorted(tips))

    def build_rewind(self, rewind: Rewind, *, timestamp: int, proposer: Address) -> BeaconExecution:
        """The next block, with this rewind alone. Raises InvalidBlock if the chain cannot go back there."""
        head = self._head.header
        return self.judge(
            transition.build_rewind(
                head, head.state_root, rewind, timestamp=timestamp, proposer=proposer
            )
        )

    def build(
        self,
        crosslinks: Iterable[Crosslink],
        *,
        evidence: Iterable[EvidenceItem] = (),
        timestamp: int,
        proposer: Address,
    ) -> BeaconExecution:
        """The next block, with as many of `crosslinks` as possible. See `transition.build`."""
        return transition.build(
            self.rules,
            self._head.header,
            self._state,
            crosslinks,
            evidence=evidence,
            timestamp=timestamp,
            proposer=proposer,
            anchor_height_of=self.height_of,
        )

    def shard_time(self, block: BeaconBlock) -> int:
        """See `transition.shard_time`."""
        return transition.shard_time(self.rules, self._head.header, block.body.crosslinks)

    def would_take(self, crosslink: Crosslink) -> bool:
        """True if a block on the head can include this crosslink alone: then it is work for the beacon.

        False for one that is refused now. That may change (its anchor is not finalised here yet).
        """
        writer = BeaconStateWriter(self._state)
        try:
            apply_crosslink(self.rules, self._head.header, writer, crosslink, self.height_of)
        except InvalidBlock:
            return False
        return True

    def is_decided(self, crosslink: Crosslink) -> bool:
        """True if the committee of its height decided a crosslink of the height after its shard's tip."""
        return is_decided(self.rules, self._state, crosslink)

    def is_certified(self, crosslink: Crosslink) -> bool:
        """True if a crosslink of a height that is included already has a certificate of that height's
        committee.

        Reads no block. False if the committee is not remembered any more.
        """
        certificate, height = crosslink.certificate, crosslink.height
        if certificate.height != height or bytes(certificate.block_id) != bytes(
            crosslink.header.hash
        ):
            return False
        try:
            members = deciders(self._state, crosslink.shard, height)
            context = self.shard_context(crosslink.shard, height)
            verify_certificate(context, members, certificate, self.rules.checker)
        except (LookupError, ConsensusError):
            return False
        return True

    def check_evidence(self, item: EvidenceItem) -> None:
        """Raise InvalidBlock unless the next block can hold this evidence; TooEarly if a later one may."""
        check_item(self.rules, self._state, self._head.height, item)

    def commit(self, execution: BeaconExecution, certificate: Certificate) -> None:
        """Make a decided block the head: `write`, and only then visible here by `adopt`."""
        self.write(execution, certificate)
        self.adopt(execution)

    def write(self, execution: BeaconExecution, certificate: Certificate) -> None:
        """Put the block after the head on disk by one atomic, durable write. It may run in a thread: nothing
        else here changes meanwhile.

        Raises ValueError if the execution is not on top of the head or the certificate is not the
        block's (a bug of ours), and whatever the store raises; nothing has changed then.
        """
        block = execution.block
        if block.header.parent != self._head.hash:
            raise ValueError(f"beacon block {block.height} does not follow the head")
        if block.body.rewind is not None:
            raise ValueError("a rewind is no block of the chain: it begins an era")
        if certificate.height != block.height or certificate.block_id != bytes(block.hash):
            raise ValueError("the certificate is for another block")
        self._write(block, execution.nodes, certificate, execution.births)

    def adopt(self, execution: BeaconExecution) -> None:
        """Make the written block the head."""
        block = execution.block
        self._blocks.put(block.height, block)
        self._states.put(self._head.height, self._state)
        self._head, self._state = block, execution.state
        self._state.written()

    # ------------------------------------------------------------------ inside

    def _write(
        self,
        block: BeaconBlock,
        nodes: Mapping[bytes, bytes],
        certificate: Certificate | None,
        births: Births,
    ) -> None:
        height = schema.encode_height(block.height)
        batch: dict[bytes, bytes | None] = {
            schema.node_key(node_hash): body for node_hash, body in nodes.items()
        }
        batch[schema.block_key(block.height)] = block.encoded
        batch[schema.height_key(block.hash)] = height
        if certificate is None:
            for shard in range(self._rules.shards):
                batch[schema.crosslink_key(ShardId(shard), 0)] = height
        else:
            batch[schema.certificate_key(block.height)] = encode_certificate(certificate)
        for crosslink in block.body.crosslinks:
            batch[schema.crosslink_key(crosslink.shard, crosslink.height)] = height
        if block.body.evidence:
            batch[schema.evidence_key(block.height)] = b"\x01"
        if births:
            rows = [[address, rlp.int_to_bytes(shard)] for address, shard in births]
            batch[schema.births_key(block.height)] = rlp.encode(rows)
        batch[schema.HEAD] = height
        self._store.write(batch, sync=True)

    def _required(self, height: int) -> BeaconBlock:
        block = self._blocks.get(height)
        if block is None:
            raw = self._store.get(schema.block_key(height))
            if raw is None:
                raise CorruptData(f"beacon chain: block {height} is missing")
            with decoding(f"beacon chain: block {height}", CorruptData):
                block = BeaconBlock.decode(raw)
            self._blocks.put(height, block)
        return block

    def _open_state(self, block: BeaconBlock) -> BeaconState:
        return BeaconState(Trie(self._read_node, block.header.state_root, cache=self._nodes))

    def _read_node(self, node_hash: bytes) -> bytes | None:
        return self._store.get(schema.node_key(node_hash))


@decoder("beacon chain: births", CorruptData)
def _decode_births(raw: bytes) -> list[tuple[Address, ShardId]]:
    rows = [rlp.as_list(row, 2) for row in rlp.decode_list(raw)]
    return [
        (Address(rlp.as_bytes(address, 20)), ShardId(rlp.as_int(shard, 16)))
        for address, shard in rows
    ]
