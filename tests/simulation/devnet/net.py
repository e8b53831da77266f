"""Shards and beacon over a bad network: what all nodes agree on, the traffic, and what must hold."""

import random
from collections import Counter
from functools import cache

from consensus.types import BlockId
from node.beacon.block import BeaconBlock
from node.beacon.evidence import EvidenceItem, ShardFork
from node.beacon.rules import BeaconRules
from node.beacon.state import BeaconState
from node.beacon.transition import genesis_block
from node.primitives.basics import Address, ShardId
from node.primitives.births import contract_address
from node.primitives.crosslink import Crosslink
from node.primitives.genesis import Genesis, GenesisValidator
from node.primitives.placement import home_by_range
from node.shard.chain import ShardChain
from node.shard.genesis import shard_genesis
from node.shard.run import ExecutedBlock
from tests.simulation.devnet.chains import BeaconNetChain, DevnetChain, ShardNetChain
from tests.simulation.devnet.corrupt import CorruptChain, Targets
from tests.simulation.devnet.forger import FORGE_EVERY, Forger
from tests.simulation.devnet.honest import HonestBooks
from tests.simulation.devnet.node import Node
from tests.simulation.devnet.plan import Plan, Slyness, keys_of
from tests.simulation.shards.support.books import Books
from tests.simulation.shards.support.development import Development
from tests.simulation.shards.support.owners import Owners
from tests.simulation.shards.support.replicas import grind
from tests.simulation.shards.support.traffic import CHAIN_ID, FUNDS, Traffic
from tests.simulation.simnet.network import Network
from tests.simulation.simnet.observer import Violation
from tests.simulation.simnet.scheme import CHECKER, address, key_of
from tests.support.memory_store import MemoryStore

USERS = 2
"""Users of each shard."""
TRAFFIC_EVERY = 0.3
"""Seconds between two users' visits while there are faults, times the scale."""
HEARD = 0.8
"""Chance that a node of the shard hears of a transaction."""

grind_user = cache(grind)


class Devnet:
    """The network of a plan. ``stats`` counts what happened beside the books.

    ``node`` is the class of the nodes; tests of mistakes put a worse one here.
    """

    def __init__(self, plan: Plan, node: type[Node] = Node) -> None:
        self.plan = plan
        scenario = plan.scenario
        count = len(plan.shards)
        self.ids = [ShardId(shard) for shard in range(count)]
        self.users = [[grind_user(s, count, f"user {n}") for n in range(USERS)] for s in self.ids]
        keys = self._keys()
        self.genesis = self._genesis(keys)
        self.rules = BeaconRules.of(self.genesis, CHECKER)
        headers = {s: shard_genesis(self.genesis, s)[0] for s in self.ids}
        made = genesis_block(self.genesis, headers)
        self.first = (made.block, made.nodes)
        faulty = frozenset(node for node, _ in scenario.faulty)
        self.network = Network(scenario, plan.seed, plan.only, faulty)
        self.beacon = BeaconNetChain(
            self.network, self.rules.beacon_context(), BlockId(made.block.hash), plan.beacon
        )
        self.shards = [
            ShardNetChain(
                self.network,
                self.rules.shard_context(shard),
                BlockId(headers[shard].hash),
                frozenset(i for i, home in enumerate(plan.homes) if home == shard),
            )
            for shard in self.ids
        ]
        self.nodes = [
            node(self, index, keys[index], ShardId(home)) for index, home in enumerate(plan.homes)
        ]
        for member in self.nodes:
            if Slyness.FORGES in member.sly:
                member.habits.append((FORGE_EVERY, lambda member=member: Forger(member).forge))
        self.books = self._books()
        self.owners = Owners(self.genesis)
        self.stats: Counter[str] = Counter()
        self._ledgers = [self._genesis_ledger(shard) for shard in self.ids]
        self._decided: dict[tuple[int, int], bytes] = {}
        self._heights: Counter[int] = Counter()
        self.random = random.Random(f"traffic {plan.seed}")
        self.traffic = Traffic(
            random=self.random,
            gas_limit=plan.params.gas_limit,
            users=[key for row in self.users for key in row],
            nodes=[node.address for node in self.nodes],
            nonce_of=self.nonce_of,
        )
        self.development = Development(random.Random(f"development {plan.seed}"), self.traffic)
        self._schedule()

    @property
    def chains(self) -> list[DevnetChain]:
        """The beacon and the shards."""
        return [self.beacon, *self.shards]

    @property
    def honest(self) -> list[Node]:
        """The nodes that keep to the protocol."""
        return [node for node in self.nodes if not node.faulty]

    def nodes_of(self, shard: ShardId) -> list[Node]:
        """All of a shard, in order."""
        return [node for node in self.nodes if node.home == shard]

    def _keys(self) -> list[int]:
        count, keys = len(self.ids), []
        for shard, row in enumerate(self.plan.shards):
            keys += keys_of(shard, count)[: len(row)]
        return keys

    def _genesis(self, keys: list[int]) -> Genesis:
        plan = self.plan
        return Genesis(
            chain_id=CHAIN_ID,
            timestamp=1_000,
            shards=len(self.ids),
            validators=[
                GenesisValidator(
                    name=f"v{index}", address="0x" + address(keys[index]).hex(),
                    peer_id=f"p{index}", shard=home, stake=plan.scenario.powers[index],
                    beacon=index in plan.beacon,
                )
                for index, home in enumerate(plan.homes)
            ],
            alloc={"0x" + key.address.hex(): FUNDS for row in self.users for key in row},
            params=plan.params,
        ).check()  # fmt: skip

    def _books(self) -> Books | HonestBooks:
        corrupt, supply = self.plan.corrupt, USERS * FUNDS
        if corrupt is None:
            return Books(self.ids, supply=supply)
        return HonestBooks(self.ids, ShardId(corrupt), supply * len(self.ids), self.genesis.params)

    def make_chain(self, store: MemoryStore, shard: ShardId) -> ShardChain:
        """The chain of a shard at one of its nodes."""
        plan = self.plan
        if shard != plan.corrupt:
            return ShardChain(store, self.genesis, shard)
        chain = CorruptChain(store, self.genesis, shard)
        users = [key.address for row in self.users for key in row]
        chain.lies = plan.lies
        chain.until = self.genesis.timestamp + int(plan.scenario.heal_at) + 1
        chain.targets = Targets(
            users=users,
            accounts=[*users, *(node.address for node in self.nodes)],
            contracts=[contract_address(user, nonce) for user in users for nonce in range(8)],
        )
        return chain

    def is_corrupt(self, shard: ShardId) -> bool:
        """Whether its committee lies."""
        return shard == self.plan.corrupt

    def _genesis_ledger(self, shard: ShardId) -> ShardChain:
        return ShardChain(MemoryStore(), self.genesis, shard)

    def _schedule(self) -> None:
        scenario, network = self.plan.scenario, self.network
        for node in self.nodes:
            start = 0.2 * scenario.timeout_scale
            network.at(start * network.dice.unit(f"first start of {node.index}"), node.boot)
        for outage in scenario.outages:
            network.at(outage.start, self.nodes[outage.node].stop)
            network.at(outage.end, self.nodes[outage.node].boot)
        network.at(TRAFFIC_EVERY * scenario.timeout_scale, self._visit)

    # ------------------------------------------------------------------ traffic

    def nonce_of(self, account: Address) -> int:
        """What a user would take for its next nonce: with what some node of its shard has pooled."""
        shard = ShardId(home_by_range(account, len(self.ids)))
        nonce = self._ledgers[shard].state().nonce(account)
        pools = [node.shard.pool for node in self.nodes_of(shard) if node.alive]
        return max([nonce, *(pool.next_nonce(account, nonce) for pool in pools)])

    def _visit(self) -> None:
        if self.network.healed:
            return
        self.network.at(TRAFFIC_EVERY * self.plan.scenario.timeout_scale, self._visit)
        for shard in self.ids:
            txs = self.traffic.of(self.users[shard])
            operations = []
            if self.plan.params.dev_methods:
                state = self._ledgers[shard].state()
                operations, more = self.development.block(state, shard)
                txs = more + txs
            for node in self.nodes_of(shard):
                heard = [item for item in (*txs, *operations) if self.random.random() < HEARD]
                for item in heard if node.alive else ():
                    node.submit(item)

    # ------------------------------------------------------------------ at every block

    def _is_first(self, chain: int, height: int, block_hash: bytes) -> bool:
        """Whether nobody had committed that height. Everybody commits the same."""
        agreed = self._decided.setdefault((chain, height), block_hash)
        if agreed != block_hash:
            raise Violation("agreement", f"two blocks of height {height} on chain {chain}")
        if height <= self._heights[chain]:
            return False
        self._heights[chain] = height
        return True

    def shard_committed(self, node: Node, executed: ExecutedBlock) -> None:
        """A node has committed a block of its shard."""
        header, ledger = executed.header, node.shard.ledger
        if self._is_first(node.home, header.number, header.hash):
            self._ledgers[node.home] = ledger
            if self.is_corrupt(node.home):
                self.stats["blocks of a corrupt shard"] += 1
                return
            self.books.note(ledger, executed)
            anchor = node.anchors.of(header, ledger.header(header.number - 1))
            self.owners.note(ledger, executed, anchor)

    def beacon_committed(self, node: Node, block: BeaconBlock) -> None:
        """A node has committed a beacon block. It says of nobody what is not so."""
        if self._is_first(-1, block.height, block.hash):
            for crosslink in block.body.crosslinks:
                self._crosslinked(crosslink)
            for item in block.body.evidence:
                self._accused(item)
            self._check_books(node.beacon.ledger.state)

    def _check_books(self, state: BeaconState) -> None:
        books, chain_of = self.books, self._ledgers.__getitem__
        books.check(state, chain_of)
        # an operation may give code to an address where another shard creates a contract later
        if isinstance(books, HonestBooks) and not self.plan.params.dev_methods:
            users = [key.address for row in self.users for key in row]
            books.check_homes(state, chain_of, [*users, *self.traffic.contracts])

    def _crosslinked(self, crosslink: Crosslink) -> None:
        """The beacon has taken in a block: of those whom it names enough have decided it."""
        name = f"block {crosslink.height} of shard {crosslink.shard}"
        block = crosslink.header.hash
        agreed = self._decided.setdefault((crosslink.shard, crosslink.height), block)
        if agreed != block or crosslink.certificate.block_id != block:
            raise Violation("crosslink", f"{name} that was taken in is not the one decided")
        self.shards[crosslink.shard].observer.weigh(crosslink.certificate)

    def _accused(self, item: EvidenceItem) -> None:
        """The beacon has punished somebody."""
        if isinstance(item, ShardFork):
            raise Violation("accusation", f"shard {item.shard} did not fork")
        key = key_of(Address(item.offence.validator))
        if not any(node.faulty and node.key == key for node in self.nodes):
            raise Violation("accusation", f"honest key {key} was punished")

    # ------------------------------------------------------------------ the end

    @property
    def is_settled(self) -> bool:
        """Whether all is delivered and known to everybody, and nobody has anything to do."""
        if self.books.under_way or not all(node.alive for node in self.nodes):
            return False
        for chain in self.chains:
            if chain.honest and len({len(host.chain) for host in chain.honest}) > 1:
                return False
        for node in self.honest:
            state, head = node.beacon.ledger.state, node.shard.head_height()
            if state.tip(node.home).height != head:
                return False
            if node.shard.has_work() or node.beacon.has_work():
                return False
        return True

    def close_books(self) -> None:
        """When all has settled: nothing is left anywhere."""
        state, books = self.honest[0].beacon.ledger.state, self.books
        self._check_books(state)
        if isinstance(books, HonestBooks):
            books.close(state, self._ledgers.__getitem__)
            return
        books.close(state)
        for pick in (min, max):  # at two nodes of each shard
            books.check_indexes(
                lambda shard, pick=pick: (
                    pick(
                        (n for n in self.honest if n.home == shard), key=lambda n: n.index
                    ).shard.ledger
                )
            )

    def status(self) -> str:
        """Where everybody is, a host a line, and the lanes."""
        lines = [f"t = {self.network.now:.2f} s"]
        for chain in self.chains:
            lines += chain.positions()
        state = max((n.beacon.ledger for n in self.nodes if n.lives), key=lambda c: c.head.height)
        for src, dst in self.books.sent:
            lane = state.state.lane(ShardId(src), ShardId(dst))
            sent = len(self.books.sent[src, dst])
            lines.append(f"  lane {src}->{dst}: {sent} sent, {lane.last} known, {lane.consumed} in")
        return "\n".join(lines)
