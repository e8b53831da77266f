"""Random calls on a running network: no crash, no hang, no 500, no internal error, no growth.

ATOLL_FUZZ_CALLS says how many (2,000 by default, 100,000 for a long run).

Development calls make blocks, thousands in a long run, and a node keeps what it has decoded of them up to the
bounds of its configuration: by default it would grow for as long as the run lasts. So the caches of this
network are small: they are full when the second half begins, and what grows from there on is a leak. (One of
32 KB a call, planted in `rpc.dispatch`, adds 13 MB a quarter to each node in 3,200 calls.)
"""

import http.client
import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.cluster.make import make_network
from node.testing import Network
from node.testing.options import manifest_of
from node.testing.shared import SharedNetworks
from rpc.methods import METHODS
from rpc.methods.refused import REFUSED

CALLS = int(os.environ.get("ATOLL_FUZZ_CALLS", "2000"))
AT_ONCE = 40
THREADS = 10  # each with a connection of its own, half of them to one node
SECONDS_PER_CALL = 35.0  # the server's own limit, and a little
GROWTH_MB = 12  # of each node in the second half; of 100,000 calls, that is 500 bytes a call
SMALL_CACHES = """\
trie_nodes = 2000
database_mib = 1
blocks_mib = 1
"""
INTERNAL_ERROR = -32603

KNOWN = "0x" + "11" * 20
FUNDED = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
HASH = "0x" + "22" * 32
TAGS = ["latest", "pending", "safe", "finalized", "earliest", "0x0", "0x1", "0xffffffff", HASH]

hexes = st.binary(max_size=40).map(lambda b: "0x" + b.hex())
quantities = st.integers(0, 2**70).map(hex) | st.integers(0, 50).map(hex)
addresses = st.sampled_from([FUNDED, KNOWN, "0x" + "00" * 20, "0x" + "00" * 19 + "04"])
hashes = st.just(HASH) | st.binary(min_size=32, max_size=32).map(lambda b: "0x" + b.hex())
blocks = st.sampled_from(TAGS) | st.fixed_dictionaries(
    {}, optional={"blockHash": hashes, "blockNumber": quantities, "requireCanonical": st.booleans()}
)
codes = st.sampled_from(["0x", "0x00", "0xfe", "0x5f5ffd", "0x4360005260206000f3", "0x600154"])
transactions = st.fixed_dictionaries(
    {},
    optional={
        "from": addresses,
        "to": addresses,
        "value": quantities,
        "gas": quantities,
        "gasPrice": quantities,
        "maxFeePerGas": quantities,
        "maxPriorityFeePerGas": quantities,
        "nonce": quantities,
        "data": hexes,
        "input": hexes,
        "type": quantities,
        "chainId": quantities,
        "accessList": st.lists(
            st.fixed_dictionaries(
                {"address": addresses, "storageKeys": st.lists(hashes, max_size=2)}
            ),
            max_size=2,
        ),
    },
)
overrides = st.dictionaries(
    addresses,
    st.fixed_dictionaries(
        {},
        optional={
            "balance": quantities,
            "nonce": quantities,
            "code": codes,
            "state": st.dictionaries(hashes, hashes, max_size=2),
            "stateDiff": st.dictionaries(hashes, hashes, max_size=2),
        },
    ),
    max_size=2,
)
filters = st.fixed_dictionaries(
    {},
    optional={
        "fromBlock": st.sampled_from(TAGS),
        "toBlock": st.sampled_from(TAGS),
        "address": addresses | st.lists(addresses, max_size=3),
        "topics": st.lists(st.none() | hashes | st.lists(hashes, max_size=2), max_size=5),
        "blockHash": hashes,
    },
)
typed_data = st.fixed_dictionaries(
    {
        "types": st.just({"T": [{"name": "x", "type": "uint8[2]"}, {"name": "y", "type": "T"}]}),
        "primaryType": st.sampled_from(["T", "U", "EIP712Domain"]),
        "domain": st.just({}),
        "message": st.fixed_dictionaries({}, optional={"x": st.just([1, 2]), "y": st.none()}),
    }
)
junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
arguments = (
    addresses
    | hashes
    | quantities
    | hexes
    | blocks
    | transactions
    | overrides
    | filters
    | typed_data
    | st.booleans()
) | junk
fitting = {
    "address": addresses,
    "block": blocks,
    "block hash": hashes,
    "block overrides": st.fixed_dictionaries(
        {}, optional={"number": quantities, "time": quantities}
    ),
    "data": hexes,
    "filter": filters,
    "full transactions": st.booleans(),
    "index": quantities,
    "kind": st.sampled_from(["newHeads", "logs"]),
    "message": hexes,
    "message id": hashes,
    "newest block": st.sampled_from(TAGS),
    "block count": quantities,
    "reward percentiles": st.lists(st.integers(0, 100), max_size=3),
    "state overrides": overrides,
    "storage keys": st.lists(hashes, max_size=3),
    "storage slot": quantities | hashes,
    "transaction": transactions | hexes,
    "transaction hash": hashes,
    "wei": quantities,
    "nonce": quantities,
    "code": codes,
    "value": hashes,
    "on": st.booleans(),
    "typed data": typed_data,
}
"""By the names of parameters: arguments that are mostly right."""


def _params(method: str) -> st.SearchStrategy[list[Any]]:
    known = METHODS.get(method)
    if known is None:
        return st.lists(arguments, max_size=3)
    right = st.tuples(*(fitting.get(p.name, arguments) for p in known.params)).map(list)
    return right | right | st.lists(arguments, max_size=4)


methods = st.sampled_from([*sorted(METHODS) * 8, *sorted(REFUSED), "", "eth_", "rpc_modules"])
calls = st.one_of(
    *[
        methods.flatmap(
            lambda method: st.fixed_dictionaries(
                {
                    "jsonrpc": st.just("2.0"),
                    "method": st.just(method),
                    "id": st.integers(0, 2**31),
                    "params": _params(method),
                }
            )
        )
    ]
    * 8,
    junk,
)


@pytest.fixture
def network(networks: SharedNetworks, tmp_path: Path) -> Iterator[Network]:
    """One of its own: random development operations spare nobody's balance."""
    networks.rest()
    layout = make_network(manifest_of({"shards": 2, "validators": 1}), tmp_path / "network")
    for node in layout.nodes:
        text = node.files.config.read_text()
        for line in SMALL_CACHES.splitlines():
            key = re.escape(line.split("=")[0])
            text, found = re.subn(f"^{key}= .*$", line, text, flags=re.MULTILINE)
            assert found == 1, f"{node.files.config} has no {line}"
        node.files.config.write_text(text)
    network = Network.at(layout.directory)
    try:
        network.up()
        yield network
        network.invariants.check_audit()
    finally:
        network.down()


class Caller:
    """One thread's connection to one node, and what came back."""

    def __init__(self, endpoint: str) -> None:
        url = urlsplit(endpoint)
        self._connection = http.client.HTTPConnection(
            url.hostname or "", url.port, timeout=2 * SECONDS_PER_CALL
        )
        self.seen: Counter[str] = Counter()

    def close(self) -> None:
        self._connection.close()

    def run(self, path: str, calls: list[Any], *, together: bool) -> None:
        """Make the calls, as one batch or one by one, and check the answers."""
        for body in [calls] if together else calls:
            answers = self._post(path, body)
            for answer in answers if isinstance(answers, list) else [answers]:
                if answer is not None:
                    self._check(answer, body)

    def _post(self, path: str, body: Any) -> Any:
        text = json.dumps(body)
        started = time.monotonic()
        self._connection.request("POST", path, text, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        answer = response.read()
        assert response.status in (200, 204), (response.status, text[:500])
        assert time.monotonic() - started < SECONDS_PER_CALL, text[:500]
        return json.loads(answer) if answer else None

    def _check(self, answer: Any, call: Any) -> None:
        assert answer["jsonrpc"] == "2.0"
        assert ("result" in answer) != ("error" in answer)
        if "error" in answer:
            error = answer["error"]
            assert isinstance(error["code"], int)
            assert isinstance(error["message"], str)
            assert error["code"] != INTERNAL_ERROR, (call, error)
            self.seen[str(error["code"])] += 1
        else:
            self.seen["ok"] += 1


def _memory_mb(pid: int | None) -> float:
    """What a process holds in memory that no file stands behind: not the database's mapped files."""
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("RssAnon"):
                return int(line.split()[1]) / 1024
    raise AssertionError(f"process {pid} is gone")


@pytest.mark.timeout(300 + CALLS // 10)
def test_random_calls(network: Network, capsys: pytest.CaptureFixture[str]) -> None:
    callers = [
        Caller(network.node(f"s{shard}v0").rpc)
        for shard in network.shard_ids
        for _ in range(THREADS // len(network.shards))
    ]
    pids = [node.pid for node in network.nodes]
    made = 0
    memory: list[list[float]] = []  # at each quarter, of each node

    @settings(
        max_examples=max(1, CALLS // AT_ONCE),
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.lists(calls, min_size=AT_ONCE, max_size=AT_ONCE),
        st.sampled_from(["/", "/shard/0", "/shard/1"]),
        st.booleans(),
    )
    def run(batch: list[Any], path: str, together: bool) -> None:
        nonlocal made
        work = [
            pool.submit(caller.run, path, batch[first::THREADS], together=together)
            for first, caller in enumerate(callers)
        ]
        for done in work:
            done.result()
        made += len(batch)
        if made >= len(memory) * CALLS // 4:
            memory.append([round(_memory_mb(pid), 1) for pid in pids])

    try:
        with ThreadPoolExecutor(THREADS) as pool:
            run()
    finally:
        for caller in callers:
            caller.close()
    grown = [after - before for before, after in zip(memory[2], memory[4], strict=True)]
    seen = sum((caller.seen for caller in callers), Counter())
    with capsys.disabled():
        print(f"\n{made} calls: {dict(seen)}; MB of the nodes at each quarter: {memory}")
    assert max(grown) < GROWTH_MB
    for node in network.nodes:
        assert network.node(node.name).request("atoll_status")["name"] == node.name
