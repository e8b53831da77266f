"""Every answer of every implemented method is what the specification says, through both nodes."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rpc.methods import METHODS
from rpc.methods.refused import REFUSED
from tests.cluster.support.client import ask, call, receipt
from tests.conformance.openrpc.calls import TRACES, calls, requests_of
from tests.conformance.openrpc.scene import Scene
from tests.conformance.openrpc.specification import Specification

pytestmark = pytest.mark.cluster

FILTERS = (
    "eth_newFilter",
    "eth_newBlockFilter",
    "eth_newPendingTransactionFilter",
    "eth_getFilterChanges",
    "eth_getFilterLogs",
    "eth_uninstallFilter",
)


def test_every_answer_is_valid(
    specification: Specification, scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    problems: list[str] = []
    checked: Counter[str] = Counter()
    table = calls(scene)
    for method, parameters in table.items():
        for params in parameters:
            for endpoint in scene.endpoints:
                answer = ask(endpoint, method, params)
                checked[method] += 1
                if "error" in answer:
                    problems.append(f"{method} {params}: {answer['error']}")
                else:
                    problems += [
                        f"{method} {params}: {problem}"
                        for problem in specification.problems(method, answer["result"])
                    ]
    with capsys.disabled():
        print(
            f"\nOpenRPC: {sum(checked.values())} answers of {len(checked)} methods checked, "
            f"{len(problems)} not valid"
        )
    assert not problems, "\n".join(problems[:40])


@pytest.mark.parametrize("shard", [0, 1])
def test_a_shards_own_chain_answers_validly_too(
    specification: Specification, scene: Scene, shard: int
) -> None:
    endpoint = scene.network.shard(shard).rpc
    head = int(call(endpoint, "eth_blockNumber"), 16)
    wanted: dict[str, list[list[Any]]] = {
        "eth_getBlockByNumber": [[hex(n), full] for n in range(head + 1) for full in (True, False)],
        "eth_getBlockReceipts": [[hex(n)] for n in range(head + 1)],
        "debug_getRawBlock": [[hex(n)] for n in range(head + 1)],
        "debug_getRawReceipts": [[hex(n)] for n in range(head + 1)],
        "eth_feeHistory": [["0x10", "latest", [50]]],
        "eth_capabilities": [[]],
        "txpool_content": [[]],
    }
    for method, parameters in wanted.items():
        for params in parameters:
            assert not specification.problems(method, call(endpoint, method, params))


def test_a_traced_call_is_as_a_traced_transaction(
    specification: Specification, scene: Scene
) -> None:
    """The specification has no debug_traceCall."""
    for endpoint in scene.endpoints:
        for request in requests_of(scene):
            for options in TRACES:
                answer = call(endpoint, "debug_traceCall", [request, "latest", *options])
                assert not specification.problems("debug_traceTransaction", answer)


def test_filters_answer_validly(specification: Specification, scene: Scene) -> None:
    endpoint, other = scene.endpoints
    wanted = {"address": list(scene.contracts), "fromBlock": "0x0"}
    made = {
        method: call(endpoint, method, params)
        for method, params in (
            ("eth_newFilter", [wanted]),
            ("eth_newBlockFilter", []),
            ("eth_newPendingTransactionFilter", []),
        )
    }
    for method, found in made.items():
        assert not specification.problems(method, found)
    user, contract = scene.users[0], scene.contracts[0]
    sent = call(
        endpoint,
        "eth_sendTransaction",
        [{"from": user, "to": contract, "input": "0x" + "00" * 31 + "01", "gas": "0x20000"}],
    )
    done = receipt(scene.network.web3(), sent)
    changes = {method: call(endpoint, "eth_getFilterChanges", [f]) for method, f in made.items()}
    for result in changes.values():
        assert not specification.problems("eth_getFilterChanges", result)
    (log,) = changes["eth_newFilter"]
    assert log["transactionHash"] == sent
    assert "0x" + done["blockHash"].hex() in changes["eth_newBlockFilter"]
    assert sent in changes["eth_newPendingTransactionFilter"]
    every = call(endpoint, "eth_getFilterLogs", [made["eth_newFilter"]])
    assert len(every) >= 8
    assert not specification.problems("eth_getFilterLogs", every)
    for filter_id in made.values():
        assert ask(other, "eth_getFilterChanges", [filter_id])["error"]["code"] == -32000
        removed = call(endpoint, "eth_uninstallFilter", [filter_id])
        assert not specification.problems("eth_uninstallFilter", removed)
        assert removed is True


def test_every_implemented_method_of_the_specification_was_called(
    specification: Specification, scene: Scene
) -> None:
    specified = set(specification.methods)
    called = set(calls(scene)) | set(FILTERS) | {"eth_sendRawTransaction"}  # by the scene itself
    assert specified & set(METHODS) == called & specified
    assert not called - specified - set(METHODS)
    assert not specified - set(METHODS) - set(REFUSED)


def test_the_list_of_methods_is_the_specifications(specification: Specification) -> None:
    names = Path(__file__).parents[3] / "tools" / "openrpc_methods.txt"
    assert names.read_text().split() == sorted(specification.methods)


def test_refused_methods_say_why(scene: Scene) -> None:
    for method, why in REFUSED.items():
        error = ask(scene.endpoints[0], method)["error"]
        assert error["code"] == -32004
        assert why in error["message"]
