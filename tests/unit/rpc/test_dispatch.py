"""The dispatcher: every way to ask, every way to fail."""

import json

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from rpc.dispatch import Dispatcher
from rpc.errors import (
    ExecutionReverted,
    LimitExceeded,
    ResourceNotFound,
    ResourceUnavailable,
    RpcError,
    ServerError,
    TransactionRejected,
)
from rpc.limits import Limits
from rpc.methods.state import blob_base_fee
from rpc.wire import ReceiptView
from tests.support.scoped import WithChains

ADDRESS = "0x" + "00" * 20
HASH = "0x" + "11" * 32
BUG = "secret detail of the node"


class Backend(WithChains):
    """Answers a few methods; `raises` makes the next balance fail."""

    def __init__(self):
        self.seen = []
        self.raises = None

    async def block_number(self, scope):
        self.seen.append(("block_number", scope))
        return 26 if scope is None else scope

    async def balance(self, scope, address, ref):
        self.seen.append(("balance", scope, address, ref))
        if self.raises is not None:
            raise self.raises
        return 10**24

    async def send_raw_transaction(self, scope, raw):
        self.seen.append(("send", raw))
        return b"\x22" * 32

    async def code(self, scope, address, ref):
        return b"\0" * 1000

    async def gas_price(self, scope):
        await trio.sleep_forever()

    def status(self):
        return {"unencodable": object()}

    async def syncing(self):
        return {"startingBlock": 0, "currentBlock": 5, "highestBlock": 9}

    async def transaction_receipt(self, scope, hash):
        return None

    def health(self):
        if self.raises is not None:
            raise self.raises
        return True, {"height": 3}


@pytest.fixture
def backend():
    return Backend()


@pytest.fixture
def dispatcher(backend):
    return Dispatcher(backend, Limits())


def request(method, *params, id=1, **members):
    return {"jsonrpc": "2.0", "method": method, "params": list(params), "id": id, **members}


async def ask(dispatcher, value, scope=None):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    answer = await dispatcher.handle(body, scope)
    return None if answer is None else json.loads(answer)


async def error_of(dispatcher, value):
    answer = await ask(dispatcher, value)
    assert set(answer) == {"jsonrpc", "id", "error"}
    return answer["error"]


async def test_a_call_is_answered_with_its_id(dispatcher):
    for request_id in (1, 0, -7, "x", "", None, 1.5, 2**70):
        assert await ask(dispatcher, request("eth_blockNumber", id=request_id)) == {
            "jsonrpc": "2.0",
            "id": request_id,
            "result": "0x1a",
        }


async def test_the_scope_of_the_endpoint_reaches_the_backend(dispatcher, backend):
    assert (await ask(dispatcher, request("eth_blockNumber"), scope=3))["result"] == "0x3"
    await ask(dispatcher, request("eth_getBalance", ADDRESS, "0x5"), scope=7)
    assert backend.seen[-1] == ("balance", 7, bytes(20), 5)


async def test_the_block_defaults_to_latest(dispatcher, backend):
    await ask(dispatcher, request("eth_getBalance", ADDRESS))
    await ask(dispatcher, request("eth_getBalance", ADDRESS, None))
    assert {call[-1] for call in backend.seen} == {"latest"}


async def test_params_may_be_absent_or_null(dispatcher):
    for extra in (b"", b', "params": null', b', "params": []'):
        body = b'{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"' + extra + b"}"
        assert (await ask(dispatcher, body))["result"] == "0x1a"


@pytest.mark.parametrize(
    ("body", "code", "request_id"),
    [
        (b"", -32700, None),
        (b"{", -32700, None),
        (b"\xff", -32700, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"} x', -32700, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"\xff"}', -32700, None),
        (b"1", -32600, None),
        (b"null", -32600, None),
        (b'"eth_blockNumber"', -32600, None),
        (b"[]", -32600, None),
        (b"{}", -32600, None),
        (b'{"id":4,"method":"eth_blockNumber"}', -32600, 4),
        (b'{"jsonrpc":"1.0","id":4,"method":"eth_blockNumber"}', -32600, 4),
        (b'{"jsonrpc":"2.0","id":5}', -32600, 5),
        (b'{"jsonrpc":"2.0","id":6,"method":7}', -32600, 6),
        (b'{"jsonrpc":"2.0","id":{},"method":"eth_blockNumber"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":true,"method":"eth_blockNumber"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":8,"method":"eth_nothing"}', -32601, 8),
        (b'{"jsonrpc":"2.0","id":8,"method":"eth_blockNumber","params":{}}', -32602, 8),
        (b'{"jsonrpc":"2.0","id":8,"method":"eth_blockNumber","params":7}', -32602, 8),
        (b'{"jsonrpc":"2.0","id":8,"method":"eth_blockNumber","params":["\xff"]}', -32602, 8),
    ],
)
async def test_malformed_requests(dispatcher, body, code, request_id):
    answer = await ask(dispatcher, body)
    assert answer["id"] == request_id
    assert answer["error"]["code"] == code


async def test_an_unknown_method_is_named_as_geth_names_it(dispatcher):
    error = await error_of(dispatcher, request("debug_x"))
    assert error == {
        "code": -32601,
        "message": "the method debug_x does not exist/is not available",
    }


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("eth_getBalance", [], "missing value for required argument 0 (address)"),
        ("eth_getBalance", [None], "missing value for required argument 0 (address)"),
        (
            "eth_getBalance",
            ["0x12"],
            "invalid argument 0 (address): hex string has length 2, want 40 for an address",
        ),
        (
            "eth_getBalance",
            [ADDRESS, "newest"],
            "invalid argument 1 (block): hex string without 0x prefix",
        ),
        ("eth_getBalance", [ADDRESS, "0x1", 1], "too many arguments, want at most 2"),
        ("eth_blockNumber", [1], "too many arguments, this method takes none"),
        (
            "eth_getBlockByNumber",
            ["0x1", "yes"],
            "invalid argument 1 (full transactions): expected a boolean, got string",
        ),
        (
            "eth_getLogs",
            [{"topics": ["0x00"]}],
            "invalid argument 0 (filter): topics[0]: hex string has length 2, want 64 for a hash",
        ),
        (
            "eth_sendRawTransaction",
            ["0x0"],
            "invalid argument 0 (transaction): hex string of odd length",
        ),
    ],
)
async def test_invalid_params_name_the_argument(dispatcher, method, params, message):
    error = await error_of(dispatcher, request(method, *params))
    assert error == {"code": -32602, "message": message}


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (ServerError("header not found"), {"code": -32000, "message": "header not found"}),
        (TransactionRejected("nonce too low"), {"code": -32000, "message": "nonce too low"}),
        (ResourceNotFound("no shard 9"), {"code": -32001, "message": "no shard 9"}),
        (ResourceUnavailable("syncing"), {"code": -32002, "message": "syncing"}),
        (LimitExceeded("range"), {"code": -32005, "message": "range"}),
        (RpcError(4444, "pruned", {"a": 1}), {"code": 4444, "message": "pruned", "data": {"a": 1}}),
        (trio.TooSlowError(), {"code": -32002, "message": "request timed out"}),
        (
            ExecutionReverted(b"\x01"),
            {"code": 3, "message": "execution reverted", "data": "0x01"},
        ),
        (
            ExceptionGroup("", [ExceptionGroup("", [ServerError("one of many")])]),
            {"code": -32000, "message": "one of many"},
        ),
    ],
)
async def test_what_a_backend_refuses_reaches_the_caller(dispatcher, backend, raised, error):
    backend.raises = raised
    assert await error_of(dispatcher, request("eth_getBalance", ADDRESS)) == error


async def test_a_bug_is_logged_and_told_by_its_report_id_only(dispatcher, backend):
    backend.raises = KeyError(BUG)
    with capture_logs() as logs:
        answer = await dispatcher.handle(
            json.dumps(request("eth_getBalance", ADDRESS)).encode(), None
        )
    assert BUG.encode() not in answer
    error = json.loads(answer)["error"]
    assert error["code"] == -32603
    (entry,) = logs
    assert entry["report"] in error["message"]
    assert entry["exc_info"] is backend.raises


async def test_an_answer_that_json_cannot_carry_is_a_bug(dispatcher, backend):
    with capture_logs():
        assert (await error_of(dispatcher, request("atoll_status")))["code"] == -32603
        backend.raises = RpcError(1, "odd", object())
        assert (await error_of(dispatcher, request("eth_getBalance", ADDRESS)))["code"] == -32603


async def test_a_notification_runs_and_is_not_answered(dispatcher, backend):
    for method in ("eth_blockNumber", "eth_nothing"):
        assert await ask(dispatcher, {"jsonrpc": "2.0", "method": method}) is None
    assert backend.seen == [("block_number", None)]


async def test_a_batch_is_answered_in_order_with_each_error_in_its_place(dispatcher, backend):
    answers = await ask(
        dispatcher,
        [
            request("eth_sendRawTransaction", "0x01", id="a"),
            {"jsonrpc": "2.0", "method": "eth_blockNumber"},
            7,
            request("eth_sendRawTransaction", "0x02", id="b"),
            request("eth_nothing", id="c"),
        ],
    )
    assert [answer["id"] for answer in answers] == ["a", None, "b", "c"]
    assert [answer.get("error", {}).get("code") for answer in answers] == [
        None,
        -32600,
        None,
        -32601,
    ]
    assert [call for call in backend.seen if call[0] == "send"] == [
        ("send", b"\1"),
        ("send", b"\2"),
    ]


async def test_a_batch_of_notifications_is_not_answered(dispatcher):
    assert await ask(dispatcher, [{"jsonrpc": "2.0", "method": "eth_blockNumber"}] * 2) is None


async def test_a_batch_has_a_largest_size(backend):
    dispatcher = Dispatcher(backend, Limits(batch_size=3))
    assert len(await ask(dispatcher, [request("eth_blockNumber")] * 3)) == 3
    error = await error_of(dispatcher, [request("eth_blockNumber")] * 4)
    assert error["code"] == -32600
    assert "at most 3" in error["message"]


async def test_a_batch_stops_where_its_answers_grow_too_large(backend):
    dispatcher = Dispatcher(backend, Limits(batch_response_size=3000))
    answers = await ask(dispatcher, [request("eth_getCode", ADDRESS)] * 5)
    assert ["error" in answer for answer in answers] == [False, False, True, True, True]
    assert answers[-1]["error"] == {"code": -32003, "message": "response too large"}


async def test_work_has_a_deadline(backend, autojump_clock):
    dispatcher = Dispatcher(backend, Limits(request_timeout=5))
    assert await error_of(dispatcher, request("eth_gasPrice")) == {
        "code": -32002,
        "message": "request timed out: eth_gasPrice may take 5 s",
    }
    assert trio.current_time() == pytest.approx(5, abs=0.1)


async def test_a_method_has_a_deadline_of_its_own(backend, autojump_clock):
    """What only looks things up may not take as long as what executes, in a batch either."""
    dispatcher = Dispatcher(backend, Limits(request_timeout=100))
    late = {"code": -32002, "message": "request timed out: eth_gasPrice may take 15 s"}
    assert await error_of(dispatcher, request("eth_gasPrice")) == late
    assert trio.current_time() == pytest.approx(15, abs=0.1)
    answers = await ask(dispatcher, [request("eth_gasPrice"), request("eth_blockNumber")])
    assert answers[0]["error"] == late
    assert "result" in answers[1]


async def test_a_batch_has_one_deadline_and_keeps_what_was_done(backend, autojump_clock):
    dispatcher = Dispatcher(backend, Limits(request_timeout=5))
    start = trio.current_time()
    answers = await ask(
        dispatcher,
        [
            request("eth_blockNumber", id=1),
            request("eth_gasPrice", id=2),
            request("eth_gasPrice", id=3),
            {"jsonrpc": "2.0", "method": "eth_gasPrice"},
        ],
    )
    assert trio.current_time() - start == pytest.approx(5, abs=0.1)
    assert [answer["id"] for answer in answers] == [1, 2, 3]
    assert [answer.get("error", {}).get("code") for answer in answers] == [None, -32002, -32002]


async def test_cancellation_from_outside_is_not_swallowed(dispatcher, autojump_clock):
    with trio.move_on_after(1) as scope:
        await ask(dispatcher, request("eth_gasPrice"))
    assert scope.cancelled_caught


async def test_values_that_need_no_backend_view(dispatcher):
    sha3 = await ask(dispatcher, request("web3_sha3", "0x68656c6c6f20776f726c64"))
    assert sha3["result"] == "0x47173285a8d7341e5e972fc677286384f802f8ef42a5ec5f03bbfa254cb01fad"
    syncing = (await ask(dispatcher, request("eth_syncing")))["result"]
    assert syncing == {"startingBlock": "0x0", "currentBlock": "0x5", "highestBlock": "0x9"}
    assert (await ask(dispatcher, request("eth_getTransactionReceipt", HASH)))["result"] is None
    empty = await ask(dispatcher, request("eth_feeHistory", "0x0", "latest", []))
    assert empty["result"]["baseFeePerGas"] == []


@pytest.fixture
def receipt():
    """A receipt with as little as there can be."""
    return ReceiptView(
        transaction_hash=b"\x22" * 32,
        transaction_index=0,
        block_hash=b"\x33" * 32,
        block_number=27,
        from_=bytes(20),
        to=bytes(20),
        cumulative_gas_used=21_000,
        gas_used=21_000,
        contract_address=None,
        logs=(),
        logs_bloom=bytes(256),
        status=1,
        type=2,
        effective_gas_price=7,
    )


async def test_a_transaction_is_sent_and_waited_for(dispatcher, backend, receipt):
    """EIP-7966."""
    seen = []

    async def wait_for_block(scope, beyond):
        seen.append(beyond)

    async def transaction_receipt(scope, transaction_hash):
        return receipt if len(seen) == 2 and transaction_hash == b"\x22" * 32 else None

    backend.wait_for_block, backend.transaction_receipt = wait_for_block, transaction_receipt
    answer = await ask(dispatcher, request("eth_sendRawTransactionSync", "0x02"))
    assert answer["result"]["transactionHash"] == "0x" + "22" * 32
    assert answer["result"]["blockNumber"] == "0x1b"
    assert seen == [26, 26]
    assert ("send", b"\x02") in backend.seen


@pytest.mark.parametrize(("params", "seconds"), [((), 20), (("0x3e8",), 1), (("0xfffff",), 25)])
async def test_a_transaction_may_not_come_in_time(
    dispatcher, backend, autojump_clock, params, seconds
):
    async def wait_for_block(scope, beyond):
        await trio.sleep_forever()

    backend.wait_for_block = wait_for_block
    started = trio.current_time()
    answer = await ask(dispatcher, request("eth_sendRawTransactionSync", "0x02", *params))
    assert trio.current_time() - started == pytest.approx(seconds, abs=0.1)
    assert answer["error"]["code"] == 4
    assert answer["error"]["data"] == "0x" + "22" * 32
    assert f"within {seconds} s" in answer["error"]["message"]


async def test_the_namespaces_are_listed(dispatcher):
    modules = (await ask(dispatcher, request("rpc_modules")))["result"]
    assert set(modules) >= {"eth", "net", "web3", "txpool", "debug", "atoll", "rpc"}
    assert set(modules.values()) == {"1.0"}


async def test_health_never_raises(dispatcher, backend):
    assert await dispatcher.health() == (True, b'{"height":3}')
    backend.raises = RuntimeError(BUG)
    with capture_logs():
        healthy, report = await dispatcher.health()
    assert not healthy
    assert BUG.encode() not in report


def test_the_blob_base_fee_is_that_of_eip_4844():
    assert blob_base_fee(0) == 1
    # e**(excess / fraction), from the integer series of the EIP
    assert blob_base_fee(5007716) == 2
    assert blob_base_fee(50077160) == 22026


async def test_every_call_is_observed_once_with_its_outcome(backend, autojump_clock):
    seen = []
    dispatcher = Dispatcher(
        backend,
        Limits(request_timeout=5),
        observe=lambda method, outcome, seconds: seen.append((method, outcome, seconds >= 0)),
    )
    await ask(dispatcher, request("eth_blockNumber"))
    await ask(dispatcher, {"jsonrpc": "2.0", "method": "eth_blockNumber"})  # a notification
    await ask(dispatcher, request("eth_getBalance", "0x12"))
    await ask(dispatcher, request("eth_noSuchThing"))
    await ask(dispatcher, request("eth_gasPrice"))  # sleeps for ever
    backend.raises = RuntimeError(BUG)
    with capture_logs():
        await ask(dispatcher, request("eth_getBalance", ADDRESS))
    with trio.move_on_after(1):
        await ask(dispatcher, request("eth_gasPrice"))
    assert seen == [
        ("eth_blockNumber", "ok", True),
        ("eth_blockNumber", "ok", True),
        ("eth_getBalance", "error", True),
        ("unknown", "error", True),  # a label that a stranger chooses would have no bound
        ("eth_gasPrice", "timeout", True),
        ("eth_getBalance", "internal", True),
        ("eth_gasPrice", "cancelled", True),
    ]


@pytest.fixture
def replaceable(backend):
    return Dispatcher(backend, Limits(), replaceable=True)


async def test_calls_wait_while_the_backend_is_replaced(backend, replaceable):
    other = Backend()
    other.block_number = lambda scope: _soon(7)
    replaceable.pause()
    answers = []
    async with trio.open_nursery() as nursery:

        async def one():
            answers.append(await ask(replaceable, request("eth_blockNumber")))

        nursery.start_soon(one)
        await trio.testing.wait_all_tasks_blocked()
        assert answers == []
        replaceable.go_on(other, {})
    assert [answer["result"] for answer in answers] == ["0x7"]
    assert backend.seen == []


async def test_calls_under_way_begin_anew_with_the_next_backend(backend, replaceable):
    """But for what is to outlive the change; a batch goes on where it was."""
    other = Backend()
    other.gas_price = lambda scope: _soon(5)
    gone = trio.Event()

    class Dev:
        off = None

        async def revert(self, snapshot):
            await gone.wait()
            return snapshot == 3

    backend.dev = Dev()
    answers = {}
    async with trio.open_nursery() as nursery:

        async def one(name, what):
            answers[name] = await ask(replaceable, what)

        batch = [request("eth_blockNumber", id=1), request("eth_gasPrice", id=2)]
        nursery.start_soon(one, "call", request("eth_gasPrice"))
        nursery.start_soon(one, "batch", batch)
        nursery.start_soon(one, "revert", request("evm_revert", "0x3"))
        await trio.testing.wait_all_tasks_blocked()
        replaceable.pause()
        await trio.testing.wait_all_tasks_blocked()
        assert answers == {}
        replaceable.go_on(other, {})
        await trio.testing.wait_all_tasks_blocked()
        gone.set()
    assert answers["call"]["result"] == "0x5"
    assert [answer["result"] for answer in answers["batch"]] == ["0x1a", "0x5"]
    assert answers["revert"]["result"] is True
    assert other.seen == []


async def test_what_a_call_trips_over_while_the_backend_is_replaced_is_not_told(
    backend, replaceable
):
    async def broken(scope):
        replaceable.pause()
        nursery.start_soon(resume)
        raise LookupError(BUG)

    async def resume():
        replaceable.go_on(Backend(), {})

    backend.block_number = broken
    async with trio.open_nursery() as nursery:
        assert (await ask(replaceable, request("eth_blockNumber")))["result"] == "0x1a"


async def _soon(value):
    await trio.lowlevel.checkpoint()
    return value
