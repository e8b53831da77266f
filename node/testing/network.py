"""`Network`: a network of real processes that lasts as long as a test wants it, and its awaitable twin."""

import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

from node.cluster.accounts import DevAccount
from node.cluster.client.client import call
from node.cluster.client.units import check_address, checksum_address, parse_data
from node.cluster.client.wallet import TransactionDraft, send
from node.cluster.errors import NetworkFailed, RpcUnreachable
from node.cluster.faults.injection import Faults
from node.cluster.launch import is_abandoned, stop_network
from node.cluster.layout import NetworkLayout, clear_directory, has_network, load_layout
from node.cluster.network_status import report_nodes
from node.cluster.processes.processes import is_child, running_nodes, stop_nodes
from node.cluster.scenario.invariants import Invariants
from node.primitives.errors import UserError
from node.primitives.keys import CURVE_ORDER, SigningKey
from node.primitives.node_status import NodeStatus
from node.primitives.placement import home_by_range
from node.testing.conditions import LOOK_SECONDS, Condition, node_up, ready, receipt
from node.testing.errors import NetworkStopped, Unbalanced
from node.testing.loops import in_thread, in_thread_whatever_happens, sleep
from node.testing.members import ASK_SECONDS, Clock, Node, Shard
from node.testing.options import Options, manifest_of
from node.testing.supervised import Supervised, patience
from node.testing.waiting import INTERVAL, WAIT_SECONDS, Wait

if TYPE_CHECKING:
    from web3 import Web3

START_TRIES = 3
PORT_TAKEN = "in use"
DESCRIBE_SECONDS = 2.0
ETHER = 10**18
P = ParamSpec("P")
T = TypeVar("T")


class Network:
    """A network in a directory of its own, at random free ports of 127.0.0.1.

    Two threads may use it at the same time. A program that is forked must not stop its parent's network.
    """

    def __init__(
        self, *, directory: Path | None = None, keep: bool | None = None, **options: Unpack[Options]
    ) -> None:
        """A network that is not started yet. `directory` must be empty or absent; left out, it is a temporary
        one. `keep` says whether the files stay when the network has stopped: those of a temporary directory
        do not, unless a `with` block ends by an error.

        Raises UserError for options that cannot be.
        """
        self.manifest = manifest_of(options)
        self.keep = directory is not None if keep is None else keep
        self._given = directory
        self._directory: Path | None = None
        self._running: Supervised | None = None
        self._layout: NetworkLayout | None = None
        self._nodes: tuple[Node, ...] = ()
        self._faults: Faults | None = None
        self._asked: Node | None = None
        self._started: set[str] = set()

    @classmethod
    def start(
        cls, *, directory: Path | None = None, keep: bool | None = None, **options: Unpack[Options]
    ) -> Self:
        """Make a network and return when every node answers and every chain has made a block.

        Raises UserError for options that cannot be, NetworkFailed with the end of a log.
        """
        network = cls(directory=directory, keep=keep, **options)
        network.up()
        return network

    @classmethod
    def at(cls, directory: Path) -> Self:
        """The network that `atoll init`, `load` or `up` has made in `directory`, as it is: it may run, and `up`
        starts what does not. `stop` stops the nodes that `up` has started, and deletes nothing.

        Raises UserError if there is none.
        """
        layout = load_layout(directory)
        network = cls(directory=layout.directory, keep=True)
        network.manifest, network._directory = layout.manifest, layout.directory
        network._open(layout)
        return network

    # ------------------------------------------------------------------ life

    def up(self, *, timeout: float | None = None) -> None:
        """Start the nodes that do not run, and return when every node answers and every chain goes on, in
        `timeout` seconds (None: what its size needs). What `down` has left is gone on with.

        Raises as `start`; what was started is then stopped again. Raises WaitTimeout if nodes ran already
        (they go on), and UserError if another program starts the network at the same time.
        """
        timeout = patience(sum(self.manifest.committee_sizes())) if timeout is None else timeout
        if self._is_going():
            self._complete(timeout)
            return
        self._end()
        directory = self._claim()
        stored = has_network(directory)
        for attempt in range(START_TRIES):
            try:
                self._up(directory, timeout, stored=stored)
                return
            except (UserError, NetworkFailed) as error:
                # Ports are free when they are chosen, and taken when the nodes have started: with many test
                # processes, another one may come between.
                if stored or PORT_TAKEN not in str(error) or attempt == START_TRIES - 1:
                    self.keep |= isinstance(error, NetworkFailed)  # which may name its logs
                    raise
                clear_directory(directory)

    def _is_going(self) -> bool:
        """True if nodes run, and are not about to end with a launcher that was killed."""
        if self._layout is None or is_abandoned(self._layout.directory):
            return False
        return any(node.is_running for node in self.nodes)

    def _complete(self, timeout: float) -> None:
        """Start what does not run beside what does, and wait for the whole."""
        down = self._down()
        self._started.update(down)
        try:
            if down:
                self.faults.nodes.start(down)
            self.wait_for(ready(), timeout)
        except BaseException:
            self._stop_started(down)
            raise

    def _stop_started(self, names: Collection[str]) -> None:
        """Stop those of the nodes that this process has started; another one may have started them since."""
        files = [node.layout.files for node in self._nodes if node.name in names]
        stop_nodes([item for item in running_nodes(files) if is_child(item)])
        self._started.difference_update(names)

    def _claim(self) -> Path:
        if self._directory is None:
            directory = self._given or Path(tempfile.mkdtemp(prefix="atoll-"))
            if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
                raise UserError(
                    f"{directory} is not empty: a network for tests has a directory of its own; "
                    "Network.at() gives one that is there"
                )
            self._directory = directory.absolute()
        return self._directory

    def _up(self, directory: Path, timeout: float, *, stored: bool) -> None:
        self._running = Supervised(self.manifest, directory)
        try:
            self._running.wait_until_up(timeout)
            self._open(load_layout(directory))
        except BaseException as error:
            if stored or isinstance(error, NetworkFailed):
                self._end()  # and leave the data, and the logs
            else:
                self.stop()
            raise

    def _open(self, layout: NetworkLayout) -> None:
        self._layout = layout
        self._faults = Faults(layout.directory, seed=1)  # the same messages are lost every time
        self._nodes = tuple(Node.of(node) for node in layout.nodes)

    def _down(self) -> list[str]:
        return [node.name for node in self.nodes if not node.is_running]

    def down(self) -> None:
        """Stop all nodes, also those of another program; `up` goes on with their data. Idempotent."""
        self._end()
        if self._directory is not None:
            stop_network(self._directory)

    def stop(self) -> None:
        """Stop all nodes for good, and delete the files that are not kept. Idempotent."""
        self._end()
        if not self.keep and self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _end(self) -> None:
        running, self._running = self._running, None
        self._layout = self._faults = None
        if running is not None:
            running.stop()
        self._stop_started(set(self._started))

    def __enter__(self) -> Self:
        if self._directory is None:
            self.up()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception):
            self.keep = True
            error.add_note(f"the network's logs are kept: {self.directory}/nodes/*/node.log")
        self.stop()

    @property
    def is_up(self) -> bool:
        """True if it was started and not stopped since; nodes may be down."""
        return self._layout is not None

    @property
    def answers(self) -> bool:
        """True if every node answers now; whether the chains go on is what `up` waits to see."""
        reports = (
            [] if self._layout is None else report_nodes(self._layout.nodes, timeout=LOOK_SECONDS)
        )
        return bool(reports) and all(report.status is not None for report in reports)

    # ------------------------------------------------------------------ what is there

    @property
    def directory(self) -> Path:
        """The directory of its files; every command of `atoll` takes it as --dir. Raises NetworkStopped."""
        if self._directory is None:
            raise NetworkStopped("the network was not started: call up(), or use Network.start()")
        return self._directory

    @property
    def layout(self) -> NetworkLayout:
        """The files of the network, for node.cluster. Raises NetworkStopped."""
        if self._layout is None:
            raise NetworkStopped(
                "the network is not running: it was not started, or it was stopped"
            )
        return self._layout

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, shard by shard, named s0v0, s0v1, ..."""
        return self._nodes

    def node(self, name: str) -> Node:
        """The node of that name. Raises UserError."""
        layout = self.layout.node(name)
        return next(node for node in self._nodes if node.name == layout.name)

    @property
    def shards(self) -> tuple[Shard, ...]:
        return tuple(map(self.shard, self.shard_ids))

    def shard(self, number: int) -> Shard:
        """The shard of that number. Raises UserError."""
        nodes = tuple(node for node in self._nodes if node.shard == number)
        if not nodes:
            raise UserError(f"there is no shard {number}: they are 0 to {self.manifest.shards - 1}")
        return Shard(id=number, nodes=nodes)

    @property
    def shard_ids(self) -> tuple[int, ...]:
        return tuple(range(self.manifest.shards))

    @property
    def rpc(self) -> str:
        """JSON-RPC of the whole network over HTTP, from its first node; every other node has the same."""
        return self.nodes[0].rpc

    @property
    def ws(self) -> str:
        """The same over WebSocket."""
        return self.nodes[0].ws

    @property
    def chain_id(self) -> int:
        return self.manifest.chain_id

    @property
    def time(self) -> Clock:
        return Clock(self.request)

    @property
    def faults(self) -> Faults:
        """Faults on demand (docs/faults.md): `with net.faults.kill("s0v1"): ...`. Raises NetworkStopped."""
        if self._faults is None:
            raise NetworkStopped("the network is not running, so nothing can go wrong in it")
        return self._faults

    @cached_property
    def invariants(self) -> Invariants:
        """The checks that any network passes: equal blocks on all nodes of a shard, lanes in order, no wei made
        or lost. `check()` waits until nothing is under way and looks at all that is new since the last time.
        Raises InvariantBroken."""
        return Invariants(
            lambda: {shard.id: [node.rpc for node in shard.nodes] for shard in self.shards}
        )

    def heal(self, *, timeout: float = WAIT_SECONDS) -> None:
        """End all faults, start the nodes that are down, and return when all are up and the chains go on.
        Raises UserError, NetworkFailed or WaitTimeout."""
        was_down = self._down()
        self._started.update(was_down)
        self.faults.heal()
        if down := self._down():
            self.faults.nodes.start(down)
        if was_down:
            self.wait_for(ready(), timeout)
        self.wait_for(node_up(), timeout)

    @property
    def aio(self) -> "AsyncNetwork":
        """The methods that take time, for asyncio and trio."""
        return AsyncNetwork(self)

    # ------------------------------------------------------------------ asking

    def request(self, method: str, *params: object, timeout: float = ASK_SECONDS) -> Any:
        """The result of a JSON-RPC method at `/`, from a node that answers.

        Raises RpcRefused for an error object, RpcUnreachable if no node answers.
        """
        layout, asked = self.layout, self._asked
        trouble = RpcUnreachable(f"no node of {layout.directory} is running")
        # First the one that answered last: another may be held, and each costs its timeout.
        for node in sorted(self._nodes, key=lambda node: node is not asked):
            if not node.is_running:
                continue
            try:
                answer = call(node.rpc, method, *params, timeout=timeout)
            except RpcUnreachable as error:
                trouble = error
            else:
                self._asked = node
                return answer
        raise trouble

    def web3(self, *, shard: int | None = None, node: str | None = None) -> "Web3":
        """web3.py on the network, or on one shard's own chain, as some node or the named one serves it."""
        from web3 import HTTPProvider, Web3

        if node is not None:
            url = self.node(node).rpc
        else:
            url = self.rpc if shard is None else self.shard(shard).nodes[0].rpc
        return Web3(HTTPProvider(url if shard is None else f"{url}/shard/{shard}"))

    def wait_for(
        self,
        condition: Condition[T] | Callable[[], T],
        timeout: float = WAIT_SECONDS,
        *,
        interval: float = INTERVAL,
        what: str | None = None,
    ) -> T:
        """Wait until a condition holds, and return its result (node.testing.until has many).

        A function is asked until its result is true; an AssertionError counts as not yet. `timeout` and
        `interval` are seconds, `what` names a function in the error. Raises WaitTimeout.
        """
        __tracebackhide__ = True
        wait = Wait(self, condition, timeout, what)
        while not wait.poll():
            time.sleep(interval)
        return wait.result

    # ------------------------------------------------------------------ accounts and transactions

    @property
    def accounts(self) -> tuple[DevAccount, ...]:
        """The funded accounts: `address`, `private_key` (0x-hex) and `home`, the shard they live on. Nodes sign
        for them (eth_sendTransaction)."""
        return tuple(self.layout.accounts)

    def account(self, shard: int = 0, index: int = 0) -> DevAccount:
        """A funded account at home on a shard. Raises UserError if there are not so many."""
        self.shard(shard)
        accounts = [account for account in self.accounts if account.home == shard]
        if not 0 <= index < len(accounts):
            raise UserError(
                f"shard {shard} has {len(accounts)} funded accounts, so there is no index {index}; ask for "
                "more (accounts_per_shard), or for new_account()"
            )
        return accounts[index]

    def home(self, address: str) -> int:
        """The shard on which an account or a contract lives."""
        return int(self.request("atoll_home", address), 16)

    def new_account(self, shard: int = 0, *, ether: float = 100) -> DevAccount:
        """A new account, never used before, at home on a shard and with so much money when this returns."""
        self.shard(shard)
        while True:
            secret = secrets.token_bytes(32)
            if not 0 < int.from_bytes(secret, "big") < CURVE_ORDER:
                continue
            address = SigningKey(secret).address
            if home_by_range(address, self.manifest.shards) == shard:
                break
        account = DevAccount(
            address=checksum_address(address),
            private_key=f"0x{secret.hex()}",
            home=home_by_range(address, self.manifest.shards),
        )
        if wei := int(ether * ETHER):
            self._fund(account, wei)
        return account

    def _fund(self, account: DevAccount, wei: int) -> None:
        if self.layout.genesis.params.dev_methods:
            self.request("anvil_setBalance", account.address, hex(wei))
            return
        paid = self.send(self.account(shard=account.home), account.address, value=wei)
        self.wait_for(receipt(paid))

    def send(
        self,
        sender: DevAccount,
        to: str | None = None,
        *,
        value: int = 0,
        data: bytes | str = b"",
        gas: int | None = None,
    ) -> str:
        """Sign and send a transaction (without `to`, the creation of a contract); its hash.

        `value` is wei, `data` bytes or 0x-hex; `gas` is estimated if it is left out. Raises RpcRefused.
        """
        wanted = TransactionDraft(
            to=None if to is None else check_address(to),
            value=value,
            data=parse_data(data) if isinstance(data, str) else data,
            gas=gas,
        )
        return send(self.layout, sender, wanted)

    # ------------------------------------------------------------------ the whole

    def audit(self, block: int | None = None) -> dict[str, Any]:
        """`atoll_audit` of a network block (None: the newest). Raises Unbalanced if wei were made or lost."""
        document = self.request("atoll_audit", "latest" if block is None else hex(block))
        if not document["balanced"]:
            raise Unbalanced(
                f"the audit of network block {document['block']} is off by "
                f"{int(document['difference'], 16)} wei: {document}"
            )
        return dict(document)

    def snapshot(self) -> str:
        """Remember the state of all shards; the id for `revert`. Raises RpcRefused."""
        return str(self.request("evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        """Take the state of all shards back to a snapshot, which is used up by it. Raises RpcRefused."""
        if not self.request("evm_revert", snapshot):
            raise UserError(
                f"there is no snapshot {snapshot!r}: it was used, or another network made it"
            )

    def logs(self, lines: int = 100) -> dict[str, list[str]]:
        """The last lines of the log of every node, by its name."""
        return {node.name: node.logs(lines) for node in self.nodes}

    def describe(self) -> str:
        """The directory and the state of every node, in lines; for the reader of a failure."""
        if self._layout is None:
            return "the network is not running"
        reports = report_nodes(self._layout.nodes, timeout=DESCRIBE_SECONDS)
        rows = [
            f"  {report.node.name}: {report.state}"
            + ("" if report.status is None else _heights(report.status))
            + (f" ({report.problem})" if report.problem else "")
            for report in reports
        ]
        return "\n".join([f"network in {self._layout.directory}:", *rows])


def _in_thread(
    method: Callable[Concatenate[Network, P], T],
) -> "Callable[Concatenate[AsyncNetwork, P], Awaitable[T]]":
    """The awaitable twin of a method of `Network`."""

    async def awaitable(self: "AsyncNetwork", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await in_thread(lambda: method(self.network, *args, **kwargs))

    awaitable.__doc__ = method.__doc__
    return awaitable


class AsyncNetwork:
    """`net.aio`: the methods of `net` that take time, to be awaited under asyncio or trio.

    When what awaits is cancelled, a request that is under way ends in its thread, and its answer is dropped.
    """

    def __init__(self, network: Network) -> None:
        self.network = network

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        *,
        directory: Path | None = None,
        keep: bool | None = None,
        **options: Unpack[Options],
    ) -> "AsyncIterator[AsyncNetwork]":
        """A network for as long as the block lasts. Raises as Network.start."""
        network = Network(directory=directory, keep=keep, **options)
        try:
            await in_thread(network.up)
            yield cls(network)
        finally:
            await in_thread_whatever_happens(network.stop)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call what would block in a thread: `await net.aio.run(net.faults.kill, "s0v0")`."""
        return await in_thread(lambda: function(*args, **kwargs))

    async def wait_for(
        self,
        condition: Condition[T] | Callable[[], T],
        timeout: float = WAIT_SECONDS,  # noqa: ASYNC109 - its error says what was missing
        *,
        interval: float = INTERVAL,
        what: str | None = None,
    ) -> T:
        """`Network.wait_for`. A function is called in a thread."""
        __tracebackhide__ = True
        wait = Wait(self.network, condition, timeout, what)
        while not await in_thread(wait.poll):
            await sleep(interval)
        return wait.result

    request = _in_thread(Network.request)
    send = _in_thread(Network.send)
    new_account = _in_thread(Network.new_account)
    audit = _in_thread(Network.audit)
    snapshot = _in_thread(Network.snapshot)
    revert = _in_thread(Network.revert)


def _heights(status: NodeStatus) -> str:
    chains = status.chains
    return (
        f", shard {status.shard} at block {chains.shard.height}, beacon at {chains.beacon.height}"
    )
