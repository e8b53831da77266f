"""An unmodified web3.py against the server over a small chain in memory."""

from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
import trio
from web3 import HTTPProvider, Web3
from web3.exceptions import (
    BlockNotFound,
    ContractLogicError,
    ContractPanicError,
    TransactionNotFound,
    Web3RPCError,
)

from rpc.dispatch import Dispatcher
from rpc.errors import ExecutionReverted, ServerError, TransactionRejected
from rpc.limits import Limits
from rpc.server import Server
from rpc.wire import (
    AccessListEntry,
    BlockHash,
    BlockView,
    FeeHistory,
    LogView,
    ReceiptView,
    SetCodeAuthorization,
    TransactionView,
)
from tests.support.scoped import WithChains

ALICE, BOB, TOKEN = b"\xa1" * 20, b"\xb0" * 20, b"\x70" * 20
TOPIC = b"\x0e" * 32
REVERT = (
    bytes.fromhex("08c379a0") + (32).to_bytes(32) + (7).to_bytes(32) + b"no cash".ljust(32, b"\0")
)
PANIC = bytes.fromhex("4e487b71") + (0x11).to_bytes(32)


def word(n):
    return n.to_bytes(32)


def block_hash(number):
    return b"\xbb" + number.to_bytes(31)


def transaction_hash(number, index):
    return b"\xcc" + number.to_bytes(15) + index.to_bytes(16)


def transactions(number):
    """One transaction of every type."""
    views = []
    for index, kind in enumerate((0, 1, 2, 4, 0x7D, 0x7E)):
        dynamic, system = kind in (2, 4), kind > 4
        views.append(
            TransactionView(
                hash=transaction_hash(number, index),
                type=kind,
                chain_id=None if system else 1337,
                nonce=index,
                from_=ALICE,
                to=None if kind == 0 else BOB,
                value=10**18,
                gas=21_000,
                gas_price=0 if system else 8,
                max_fee_per_gas=9 if dynamic else None,
                max_priority_fee_per_gas=1 if dynamic else None,
                input=b"\x12\x34",
                access_list=(AccessListEntry(TOKEN, (word(1), word(2))),) if 0 < kind < 5 else None,
                authorization_list=(
                    (
                        SetCodeAuthorization(
                            chain_id=1337, address=TOKEN, nonce=0, y_parity=1, r=2**255, s=3
                        ),
                    )
                    if kind == 4
                    else None
                ),
                y_parity=None if system or kind == 0 else 1,
                v=0 if system else 2709 if kind == 0 else 1,
                r=0 if system else 2**254 + 1,
                s=0 if system else 5,
                block_hash=block_hash(number),
                block_number=number,
                block_timestamp=1_700_000_000 + number,
                transaction_index=index,
                extra=(
                    {"sourceHash": "0x" + "0a" * 32, "mint": "0x0", "isSystemTx": False}
                    if system
                    else {}
                ),
            )
        )
    return tuple(views)


def logs(number):
    return tuple(
        LogView(
            address=TOKEN,
            topics=(TOPIC, word(i)),
            data=b"\xda\x7a",
            block_hash=block_hash(number),
            block_number=number,
            block_timestamp=1_700_000_000 + number,
            transaction_hash=transaction_hash(number, 2),
            transaction_index=2,
            log_index=i,
        )
        for i in range(2)
    )


def receipt(number, index):
    kind = transactions(number)[index].type
    return ReceiptView(
        transaction_hash=transaction_hash(number, index),
        transaction_index=index,
        block_hash=block_hash(number),
        block_number=number,
        from_=ALICE,
        to=None if kind == 0 else BOB,
        cumulative_gas_used=21_000 * (index + 1),
        gas_used=21_000,
        contract_address=TOKEN if kind == 0 else None,
        logs=logs(number) if index == 2 else (),
        logs_bloom=bytes(256),
        status=1,
        effective_gas_price=8,
        type=kind,
    )


class Chain(WithChains):
    """Blocks 0 to `head`, each with one transaction of every type; state is made up."""

    head = 5

    def __init__(self):
        self.sent = []

    def _number(self, ref):
        match ref:
            case "earliest":
                return 0
            case str():
                return self.head
            case BlockHash(hash=block):
                return int.from_bytes(block[1:])
        return ref

    async def client_version(self):
        return "atoll/test"

    async def chain_id(self):
        return 1337

    async def syncing(self):
        return None

    async def block_number(self, scope):
        return self.head

    async def block(self, scope, ref, full):
        number = self._number(ref)
        if number > self.head:
            return None
        return BlockView(
            number=number,
            hash=block_hash(number),
            parent_hash=block_hash(max(number - 1, 0)),
            nonce=bytes(8),
            sha3_uncles=word(1),
            logs_bloom=bytes(256),
            transactions_root=word(2),
            state_root=word(3),
            receipts_root=word(4),
            miner=BOB,
            difficulty=0,
            extra_data=b"atoll",
            size=1234,
            gas_limit=30_000_000,
            gas_used=126_000,
            timestamp=1_700_000_000 + number,
            base_fee_per_gas=7,
            mix_hash=word(5),
            withdrawals_root=word(6),
            blob_gas_used=0,
            excess_blob_gas=0,
            parent_beacon_block_root=word(7),
            requests_hash=word(8),
            transactions=(
                transactions(number) if full else tuple(view.hash for view in transactions(number))
            ),
        )

    async def block_transaction_count(self, scope, ref):
        return 6

    async def transaction_by_block_and_index(self, scope, ref, index):
        return transactions(self._number(ref))[index] if index < 6 else None

    async def balance(self, scope, address, ref):
        return 10**24 + self._number(ref)

    async def code(self, scope, address, ref):
        return b"\x60\x00" if address == TOKEN else b""

    async def storage_at(self, scope, address, slot, ref):
        return word(slot)

    async def transaction_count(self, scope, address, ref):
        return 3

    async def call(self, scope, request, ref, overrides):
        if request.data == b"\x01":
            raise ExecutionReverted(REVERT, "no cash")
        if request.data == b"\x02":
            raise ExecutionReverted(PANIC)
        if request.data == b"\x03":
            raise ExecutionReverted(b"")
        return word(request.value or 0)

    async def estimate_gas(self, scope, request, ref, overrides):
        await self.call(scope, request, ref, overrides)
        return 21_000

    async def gas_price(self, scope):
        return 8

    async def max_priority_fee(self, scope):
        return 1

    async def fee_history(self, scope, count, newest, percentiles):
        oldest = self._number(newest) - count + 1
        return FeeHistory(
            oldest_block=oldest,
            base_fee_per_gas=(7,) * (count + 1),
            gas_used_ratio=(0.5,) * count,
            reward=((1,) * len(percentiles),) * count if percentiles else None,
        )

    async def send_raw_transaction(self, scope, raw):
        if raw == b"\xbe\xef":
            raise TransactionRejected("nonce too low: next nonce 3, tx nonce 1")
        self.sent.append(raw)
        return word(9)

    def _find(self, hash):
        number, index = int.from_bytes(hash[1:16]), int.from_bytes(hash[16:])
        return (number, index) if hash[0] == 0xCC and number <= self.head else None

    async def transaction_by_hash(self, scope, hash):
        found = self._find(hash)
        return transactions(found[0])[found[1]] if found else None

    async def transaction_receipt(self, scope, hash):
        found = self._find(hash)
        return receipt(*found) if found else None

    async def block_receipts(self, scope, ref):
        return tuple(receipt(self._number(ref), i) for i in range(6))

    async def logs(self, scope, filter):
        if filter.block_hash is not None:
            return logs(self._number(BlockHash(filter.block_hash)))
        first, last = self._number(filter.from_block), self._number(filter.to_block)
        if last > self.head:
            raise ServerError("block range extends beyond current head block")
        return tuple(
            log
            for number in range(first, last + 1)
            for log in logs(number)
            if not filter.addresses or log.address in filter.addresses
            if all(
                wanted is None or log.topics[i] in wanted for i, wanted in enumerate(filter.topics)
            )
        )

    wallet = SimpleNamespace(addresses=(ALICE,))


@pytest.fixture
def chain():
    return Chain()


@asynccontextmanager
async def web3_of(chain):
    """Calls a function with a web3 of its own in a thread; the client knows nothing of trio."""
    limits = Limits()
    server = Server(Dispatcher(chain, limits), host="127.0.0.1", port=0, limits=limits)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            port = await nursery.start(lambda task_status: server.run(task_status=task_status))
            provider = HTTPProvider(f"http://127.0.0.1:{port}", exception_retry_configuration=None)
            web3 = Web3(provider)

            async def run(function):
                return await trio.to_thread.run_sync(function, web3)

            try:
                yield run
            finally:
                for _, session in provider._request_session_manager.session_cache.items():
                    session.close()
                nursery.cancel_scope.cancel()


async def test_the_chain(chain):
    def check(w3):
        assert w3.is_connected()
        assert w3.client_version == "atoll/test"
        assert (w3.eth.block_number, w3.eth.chain_id, w3.net.version) == (5, 1337, "1337")
        assert w3.eth.syncing is False
        assert (w3.eth.gas_price, w3.eth.max_priority_fee) == (8, 1)
        assert list(w3.eth.accounts) == [Web3.to_checksum_address(ALICE)]

    async with web3_of(chain) as run:
        await run(check)


async def test_blocks(chain):
    def check(w3):
        block = w3.eth.get_block("latest")
        assert block["number"] == 5
        assert block["hash"] == block_hash(5)
        assert block["baseFeePerGas"] == 7
        assert block["transactions"][3] == transaction_hash(5, 3)
        assert block["withdrawals"] == []
        assert block["parentBeaconBlockRoot"] == word(7)
        assert w3.eth.get_block(block_hash(4))["number"] == 4
        assert w3.eth.get_block_transaction_count(2) == 6
        with pytest.raises(BlockNotFound):
            w3.eth.get_block(99)

    async with web3_of(chain) as run:
        await run(check)


async def test_full_transactions_of_every_type(chain):
    def check(w3):
        legacy, listed, dynamic, delegating, arrival, operations = w3.eth.get_block(3, True)[
            "transactions"
        ]
        assert (legacy["type"], legacy["to"], legacy["v"]) == (0, None, 2709)
        assert "accessList" not in legacy
        assert "yParity" not in legacy
        assert listed["accessList"][0]["storageKeys"][1] == "0x" + word(2).hex()
        assert (dynamic["maxFeePerGas"], dynamic["maxPriorityFeePerGas"]) == (9, 1)
        assert (dynamic["v"], dynamic["yParity"]) == (1, 1)
        assert delegating["authorizationList"][0]["r"] == 2**255
        assert [t["type"] for t in (arrival, operations)] == [0x7D, 0x7E]
        assert arrival["mint"] == "0x0"
        assert int.from_bytes(arrival["r"]) == arrival["v"] == 0
        assert w3.eth.get_transaction(transaction_hash(3, 2)) == dynamic
        assert w3.eth.get_transaction_by_block(3, 2) == dynamic
        with pytest.raises(TransactionNotFound):
            w3.eth.get_transaction(word(1))

    async with web3_of(chain) as run:
        await run(check)


async def test_receipts_and_logs(chain):
    def check(w3):
        receipt = w3.eth.wait_for_transaction_receipt(transaction_hash(3, 2))
        assert (receipt["status"], receipt["gasUsed"], receipt["type"]) == (1, 21_000, 2)
        assert [log["logIndex"] for log in receipt["logs"]] == [0, 1]
        assert receipt["logs"][0]["topics"][0] == TOPIC
        created = w3.eth.get_transaction_receipt(transaction_hash(3, 0))
        assert (created["to"], created["contractAddress"]) == (
            None,
            Web3.to_checksum_address(TOKEN),
        )
        with pytest.raises(TransactionNotFound):
            w3.eth.get_transaction_receipt(word(1))
        assert len(w3.eth.get_block_receipts(3)) == 6
        found = w3.eth.get_logs(
            {"fromBlock": 2, "toBlock": 4, "topics": ["0x" + TOPIC.hex(), None]}
        )
        assert [log["blockNumber"] for log in found] == [2, 2, 3, 3, 4, 4]
        assert found[0]["data"] == b"\xda\x7a"
        one = {"address": Web3.to_checksum_address(TOKEN), "topics": [None, "0x" + word(1).hex()]}
        assert [log["logIndex"] for log in w3.eth.get_logs(one)] == [1]
        assert w3.eth.get_logs({"address": Web3.to_checksum_address(ALICE)}) == []
        assert len(w3.eth.get_logs({"blockHash": block_hash(1)})) == 2

    async with web3_of(chain) as run:
        await run(check)


async def test_state_and_fees(chain):
    def check(w3):
        token = Web3.to_checksum_address(TOKEN)
        assert w3.eth.get_balance(token) == 10**24 + 5
        assert w3.eth.get_balance(token, 2) == 10**24 + 2
        assert w3.eth.get_balance(token, block_hash(3)) == 10**24 + 3
        assert w3.eth.get_code(token) == b"\x60\x00"
        assert w3.eth.get_storage_at(token, 77) == word(77)
        assert w3.eth.get_transaction_count(token, "pending") == 3
        history = w3.eth.fee_history(3, "latest", [10, 90.5])
        assert (history["oldestBlock"], history["baseFeePerGas"]) == (3, [7, 7, 7, 7])
        assert history["gasUsedRatio"] == [0.5] * 3
        assert history["reward"] == [[1, 1]] * 3
        assert history["baseFeePerBlobGas"] == ["0x1"] * 4  # no block has blobs
        assert history["blobGasUsedRatio"] == [0] * 3
        assert "reward" not in w3.eth.fee_history(3, "latest")

    async with web3_of(chain) as run:
        await run(check)


async def test_calls_and_reverts(chain):
    def check(w3):
        token = Web3.to_checksum_address(TOKEN)
        assert w3.eth.call({"to": token, "value": 6}) == word(6)
        assert w3.eth.estimate_gas({"to": token, "from": token}) == 21_000
        for ask in (w3.eth.call, w3.eth.estimate_gas):
            with pytest.raises(ContractLogicError) as raised:
                ask({"to": token, "data": "0x01"})
            assert raised.value.message == "execution reverted: no cash"
            assert raised.value.data == "0x" + REVERT.hex()
            with pytest.raises(ContractPanicError, match="0x11"):
                ask({"to": token, "data": "0x02"})
            with pytest.raises(ContractLogicError) as raised:
                ask({"to": token, "data": "0x03"})
            assert (raised.value.message, raised.value.data) == ("execution reverted", "0x")

    async with web3_of(chain) as run:
        await run(check)


async def test_raw_transactions(chain):
    def check(w3):
        assert w3.eth.send_raw_transaction(b"\x02\x03") == word(9)
        with pytest.raises(Web3RPCError, match="nonce too low: next nonce 3, tx nonce 1") as raised:
            w3.eth.send_raw_transaction(b"\xbe\xef")
        assert raised.value.rpc_response["error"]["code"] == -32000

    async with web3_of(chain) as run:
        await run(check)
    assert chain.sent == [b"\x02\x03"]


async def test_a_batch_of_web3(chain):
    def check(w3):
        with w3.batch_requests() as batch:
            batch.add(w3.eth.get_block(1))
            batch.add(w3.eth.get_balance(Web3.to_checksum_address(TOKEN)))
            block, balance = batch.execute()
        assert block["number"] == 1
        assert balance == 10**24 + 5

    async with web3_of(chain) as run:
        await run(check)
