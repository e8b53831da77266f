"""The network view over a real two-shard network: one chain, each transaction where it ran."""

import pytest
from eth_utils.address import to_checksum_address

from node.primitives import rlp
from node.primitives.basics import EMPTY_TRIE_ROOT, keccak256
from node.primitives.messenger import MESSENGER
from node.primitives.placement import home_by_range
from node.shard.block import ARRIVAL_TYPE, BEACON_OPS_TYPE
from node.view import calls
from rpc.errors import (
    ExecutionReverted,
    InvalidParams,
    LimitExceeded,
    ServerError,
    TransactionRejected,
)
from rpc.wire import BlockHash, CallRequest, LogFilter

ETHER = 10**18
GWEI = 10**9


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def created(sender: bytes, nonce: int) -> bytes:
    return keccak256(rlp.encode([sender, rlp.int_to_bytes(nonce)]))[12:]


async def deploy(net, view, user, code) -> bytes:
    """The test contract, deployed by `user` and known to every shard."""
    address = created(user.address, user.nonce)
    await view.send_raw_transaction(user.sign(None, data=code[0], gas=300_000))
    net.settle()
    return address


async def test_a_transfer_within_a_shard_is_listed_where_it_ran(net):
    view = net.views().network
    alice, bob = net.users[0][:2]
    tx_hash = await view.send_raw_transaction(alice.sign(bob.address, ETHER))
    assert await view.transaction_receipt(tx_hash) is None
    pending = await view.transaction_by_hash(tx_hash)
    assert pending is not None
    assert pending.block_hash is None
    assert pending.gas_price == 10 * GWEI

    net.step(0)
    assert await view.transaction_receipt(tx_hash) is None  # in a shard block, not crosslinked
    assert (await view.transaction_by_hash(tx_hash)).block_number is None
    number = net.crosslink()

    receipt = await view.transaction_receipt(tx_hash)
    assert receipt.block_number == number
    assert receipt.block_hash == net.beacon.block(number).hash
    assert (receipt.status, receipt.gas_used, receipt.cumulative_gas_used) == (1, 21_000, 21_000)
    assert receipt.from_ == alice.address
    assert receipt.to == bob.address
    block = await view.block(number, False)
    assert block.transactions == (tx_hash,)
    assert block.gas_used == 21_000
    assert block.gas_limit == 30_000_000  # that of a transaction, whichever shard it is for
    assert len({block.transactions_root, block.receipts_root, EMPTY_TRIE_ROOT}) == 3
    assert block.parent_hash == net.beacon.block(number - 1).hash
    full = await view.block(BlockHash(block.hash), True)
    assert full.transactions == (await view.transaction_by_hash(tx_hash),)
    assert await view.balance(bob.address, "latest") == 1001 * ETHER
    assert await view.balance(bob.address, number - 1) == 1000 * ETHER
    assert await view.transaction_count(alice.address, "latest") == 1
    assert await view.transaction_by_block_and_index(number, 0) == full.transactions[0]
    assert await view.transaction_by_block_and_index(number, 1) is None
    assert await view.block_receipts(number) == (receipt,)


async def test_a_transfer_across_shards_is_pending_until_it_has_arrived(net):
    view = net.views().network
    alice, carol = net.users[0][0], net.users[1][0]
    tx_hash = await view.send_raw_transaction(alice.sign(carol.address, ETHER))
    net.step(0)
    departed_in = net.crosslink()
    assert await view.transaction_receipt(tx_hash) is None
    assert (await view.transaction_by_hash(tx_hash)).block_hash is None
    assert (await view.block(departed_in, False)).transactions == ()
    net.step(1)
    assert await view.transaction_receipt(tx_hash) is None
    arrived_in = net.crosslink()

    receipt = await view.transaction_receipt(tx_hash)
    assert receipt.block_number == arrived_in
    assert (receipt.status, receipt.gas_used) == (1, 21_000)
    assert receipt.type == 2
    assert receipt.logs == ()
    assert (await view.transaction_by_hash(tx_hash)).value == ETHER
    assert (await view.block(arrived_in, False)).transactions == (tx_hash,)
    assert await view.balance(carol.address, "latest") == 1001 * ETHER


async def test_a_call_across_shards_has_the_outcome_of_its_destination(net, code):
    view = net.views().network
    alice, carol = net.users[0][0], net.users[1][0]
    contract = await deploy(net, view, carol, code)
    assert await view.code(contract, "latest") == code[1]

    request = CallRequest(from_=alice.address, to=contract, data=word(42))
    gas = await view.estimate_gas(request, "latest")
    tx_hash = await view.send_raw_transaction(alice.sign(contract, data=word(42), gas=gas))
    net.settle()
    receipt = await view.transaction_receipt(tx_hash)
    assert receipt.status == 1
    assert receipt.gas_used <= gas
    assert receipt.gas_used > 21_000 + 20_000
    assert receipt.effective_gas_price <= 10 * GWEI
    (log,) = receipt.logs
    assert log.topics == (code[2], alice.address.rjust(32, b"\0"))
    assert log.data == word(42)
    assert log.transaction_hash == tx_hash
    assert await view.storage_at(contract, 0, "latest") == word(42)
    assert await view.call(CallRequest(to=contract), "latest") == word(42)

    failing = await view.send_raw_transaction(alice.sign(contract, 5, word(0), gas=100_000))
    net.settle()
    receipt = await view.transaction_receipt(failing)
    assert receipt.status == 0
    assert await view.balance(contract, "latest") == 0
    audit = await net.views().atoll.audit(net.head_height())
    assert audit["balanced"], audit


async def test_estimates_are_the_least_gas_that_works(net, code):
    view = net.views().network
    alice, carol, dave = net.users[0][0], net.users[1][0], net.users[1][1]
    contract = await deploy(net, view, carol, code)
    for sender in (alice, dave):
        request = CallRequest(from_=sender.address, to=contract, data=word(7))
        gas = await view.estimate_gas(request, "latest")
        short = await view.send_raw_transaction(sender.sign(contract, data=word(7), gas=gas - 1))
        exact = await view.send_raw_transaction(sender.sign(contract, data=word(7), gas=gas))
        assert short != exact
        net.settle()
        assert (await view.transaction_receipt(short)).status == 0
        assert (await view.transaction_receipt(exact)).status == 1


async def test_a_limit_of_any_size_is_taken_for_a_call_that_crosses(net, code):
    """What travels to the other shard has a bound of its own."""
    view = net.views().network
    alice, carol = net.users[0][0], net.users[1][0]
    contract = await deploy(net, view, carol, code)
    for gas in (1 << 62, (1 << 63) - 1, (1 << 64) - 1):
        request = CallRequest(from_=alice.address, to=contract, gas=gas)
        assert await view.call(request, "latest") == word(0)
        assert calls.plain_call(request, 0).gas == min(gas, calls.ALL_GAS)


async def test_a_plain_transfer_is_estimated_at_21000_wherever_it_goes(net):
    view = net.views().network
    alice = net.users[0][0]
    for to in (net.users[0][1].address, net.users[1][1].address, b"\x77" * 20, b"\x78" * 20):
        request = CallRequest(from_=alice.address, to=to, value=ETHER)
        assert await view.estimate_gas(request, "latest") == 21_000


async def test_value_that_is_not_there_cannot_be_sent_to_another_shard(net):
    view = net.views().network
    alice, carol = net.users[0][0], net.users[1][0]
    request = CallRequest(from_=alice.address, to=carol.address, value=2000 * ETHER)
    here = CallRequest(from_=alice.address, to=alice.address, value=2000 * ETHER)
    who = to_checksum_address(alice.address)  # as geth writes it
    for asked in (request, here):
        for question in (view.estimate_gas, view.call):
            with pytest.raises(ServerError, match=f"insufficient funds for gas .* address {who}"):
                await question(asked, "latest")


async def test_reverts_carry_their_reason(net, code):
    view = net.views().network
    alice, carol = net.users[0][0], net.users[1][0]
    contract = await deploy(net, view, carol, code)
    for sender in (alice, carol):
        request = CallRequest(from_=sender.address, to=contract, data=word(0))
        with pytest.raises(ExecutionReverted, match="execution reverted: zero"):
            await view.call(request, "latest")
        with pytest.raises(ExecutionReverted, match="execution reverted: zero"):
            await view.estimate_gas(request, "latest")


async def test_a_contract_lives_with_its_creator_and_its_birth_is_not_listed(net, code):
    """Where its range is another shard, that one has an operation, which is listed there only."""
    views = net.views()
    view = views.network
    hashes = []
    for user in (net.users[0][0], net.users[1][0], net.users[0][1], net.users[1][1]):
        data = code[0]
        address = created(user.address, user.nonce)
        tx_hash = await view.send_raw_transaction(user.sign(None, data=data, gas=300_000))
        hashes.append((tx_hash, address, user))
    net.settle()
    for tx_hash, address, user in hashes:
        receipt = await view.transaction_receipt(tx_hash)
        assert receipt.contract_address == address
        assert await views.atoll.home(address) == await views.atoll.home(user.address)
        assert await view.code(address, "latest") == code[1]
    kinds = []
    for number in range(net.head_height() + 1):
        for index, tx_hash in enumerate((await view.block(number, False)).transactions):
            tx = await view.transaction_by_block_and_index(number, index)
            assert tx.hash == tx_hash
            assert await view.transaction_by_hash(tx_hash) == tx
            assert (await view.transaction_receipt(tx_hash)).transaction_index == index
            kinds.append(tx.type)
    assert kinds == [2] * len(hashes)
    own = []
    for shard in (0, 1):
        chain = views.backend.chain(shard)
        for height in range(net.chains[shard].head.number + 1):
            own += (await chain.block(height, True)).transactions
    operations = [tx for tx in own if tx.type == BEACON_OPS_TYPE]
    assert operations
    assert len(operations) + len(hashes) == len(own)
    for tx in operations:
        assert await view.transaction_by_hash(tx.hash) is None
        assert await view.transaction_receipt(tx.hash) is None


async def test_a_block_that_lists_nothing_looks_empty(net, code):
    """As clients check it: go-ethereum's refuses one whose roots and transactions do not fit."""
    view = net.views().network
    for user in (net.users[0][0], net.users[1][0], net.users[0][1], net.users[1][1]):
        await view.send_raw_transaction(user.sign(None, data=code[0], gas=300_000))
    net.settle()
    kept_books = False
    for number in range(net.head_height() + 1):
        block = await view.block(number, False)
        roots = {block.transactions_root, block.receipts_root}
        assert (roots == {EMPTY_TRIE_ROOT}) == (block.transactions == ())
        assert await view.block_transaction_count(number) == len(block.transactions)
        links = net.beacon.block(number).body.crosslinks
        if not block.transactions:
            kept_books |= any(c.header.transactions_root != EMPTY_TRIE_ROOT for c in links)
    assert kept_books, "some block has births on its shards, and nothing at /"


async def test_a_sweep_is_listed_under_its_message_and_found_after_a_restart(net):
    """A contract's SELFDESTRUCT-like payment to a foreign address goes home as a CREDIT."""
    view = net.views().network
    alice, carol = net.users[0][0], net.users[1][0]
    # init code: send the call value to carol, deploy nothing
    data = bytes.fromhex("5f5f5f5f3473") + carol.address + bytes.fromhex("5af100")
    tx_hash = await view.send_raw_transaction(alice.sign(None, ETHER, data, gas=200_000))
    net.settle()
    receipt = await view.transaction_receipt(tx_hash)
    assert receipt.status == 1
    assert receipt.logs == ()  # the MessageSent log is the protocol's
    assert await view.balance(carol.address, "latest") == 1001 * ETHER
    message = next(
        m for h in range(net.chains[0].head.number + 1) for _, m in net.chains[0].sent_in(h)
    )
    fresh = net.views().network
    credit = await fresh.transaction_receipt(message.id)
    assert credit.type == ARRIVAL_TYPE
    assert credit.from_ == credit.to == carol.address
    assert credit.gas_used == 0
    assert credit.block_number > receipt.block_number
    tx = await fresh.transaction_by_hash(message.id)
    # Clients match a transaction they wait for by sender and nonce: no account gets there.
    assert 1 << 52 <= tx.nonce < 1 << 53
    assert tx.value == ETHER
    assert tx.extra["originTx"] == "0x" + tx_hash.hex()


async def test_log_indexes_and_gas_run_through_the_network_block(net, code):
    view = net.views().network
    alice, carol = net.users[0][0], net.users[1][0]
    here = await deploy(net, view, alice, code)
    there = await deploy(net, view, carol, code)
    for user, contract in ((alice, here), (carol, there)):
        for value in (1, 2):
            await view.send_raw_transaction(user.sign(contract, data=word(value), gas=90_000))
    number = net.round()
    receipts = await view.block_receipts(number)
    logs = [log for receipt in receipts for log in receipt.logs]
    assert [log.log_index for log in logs] == [0, 1, 2, 3]
    assert [log.address for log in logs] == [here, here, there, there]
    total = 0
    for receipt in receipts:
        total += receipt.gas_used
        assert receipt.cumulative_gas_used == total
    assert (await view.block(number, False)).gas_used == total
    assert await view.logs(LogFilter(from_block=0, to_block="latest")) == tuple(logs)
    assert await view.logs(LogFilter(block_hash=net.beacon.block(number).hash)) == tuple(logs)
    found = await view.logs(LogFilter(from_block=0, addresses=(there,), topics=((code[2],),)))
    assert list(found) == logs[2:]
    topics = (None, (alice.address.rjust(32, b"\0"),))
    assert list(await view.logs(LogFilter(from_block=0, topics=topics))) == logs[:2]
    assert await view.logs(LogFilter(from_block=0, topics=(None, None, None))) == ()
    assert await view.logs(LogFilter(from_block=0, addresses=(MESSENGER,))) == ()
    for first, last in ((number + 5, number + 9), (0, number + 1), (number + 1, "latest")):
        with pytest.raises(InvalidParams, match="block range extends beyond current head block"):
            await view.logs(LogFilter(from_block=first, to_block=last))
    with pytest.raises(ServerError, match="unknown block"):
        await view.logs(LogFilter(block_hash=b"\1" * 32))
    with pytest.raises(InvalidParams, match="invalid block range params"):
        await view.logs(LogFilter(from_block="latest", to_block=0))


async def test_a_range_of_logs_is_bounded(net, monkeypatch):
    view = net.views().network
    net.settle()
    monkeypatch.setattr("node.view.log_search.MAX_LOG_BLOCKS", 3)
    with pytest.raises(LimitExceeded, match="5 blocks, at most 3"):
        await view.logs(LogFilter(from_block=0))
    assert await view.logs(LogFilter(from_block=2)) == ()


async def test_blocks_name_themselves_by_tag_number_and_hash(net):
    view = net.views().network
    net.settle()
    head = await view.block_number()
    for tag in ("latest", "safe", "finalized"):
        assert (await view.block(tag, False)).number == head
    assert await view.state_number("pending") == head
    assert (await view.block("pending", False)).number == head + 1
    assert (await view.block("earliest", False)).number == 0
    assert await view.block(head + 1, False) is None
    assert await view.block(BlockHash(b"\2" * 32), False) is None
    with pytest.raises(ServerError, match="header not found"):
        await view.balance(b"\3" * 20, head + 1)
    net.head = head - 1  # this node's shard is behind the beacon
    assert await view.block(head, False) is None
    assert await view.block(BlockHash(net.beacon.head.hash), False) is None
    assert (await view.block("latest", False)).number == head - 1


async def test_the_pending_nonce_counts_the_pool(net):
    view = net.views().network
    alice, bob = net.users[0][:2]
    for _ in range(3):
        await view.send_raw_transaction(alice.sign(bob.address, 1))
    assert await view.transaction_count(alice.address, "pending") == 3
    assert await view.transaction_count(alice.address, "latest") == 0


@pytest.mark.parametrize("own", [0, 1])
async def test_submission_goes_home_and_refusals_are_geths(net, own):
    view = net.views(own=own).network
    alice, bob = net.users[0][:2]
    raw = alice.sign(bob.address, 1)
    await view.send_raw_transaction(raw)
    for text, bad in {
        "already known": raw,
        "nonce too low|replacement transaction underpriced": alice.sign(bob.address, 2, nonce=0),
        "insufficient funds for gas": alice.sign(bob.address, 10_000 * ETHER),
        "invalid chain id for signer: have 5 want 1337": alice.sign(bob.address, 1, chain_id=5),
        "transaction": b"",
        "transaction type not supported": b"\x7d\xc0",
        "RLP": b"\x02\xc1",
    }.items():
        with pytest.raises(TransactionRejected, match=text):
            await view.send_raw_transaction(bad)


async def test_only_replay_protected_transactions_are_taken(net):
    alice = net.users[0][0]
    fields = [b"", rlp.int_to_bytes(GWEI), rlp.int_to_bytes(21_000), alice.address, b"", b""]
    signature = alice.key.sign_digest(keccak256(rlp.encode(fields)))
    tail = [
        bytes([27 + signature[64]]),
        signature[:32].lstrip(b"\0"),
        signature[32:64].lstrip(b"\0"),
    ]
    raw = rlp.encode([*fields, *tail])
    with pytest.raises(TransactionRejected, match="only replay-protected"):
        await net.views().network.send_raw_transaction(raw)
    view = net.views().network
    view._takes_unprotected = True  # as where the genesis has dev_methods
    assert await view.send_raw_transaction(raw) == keccak256(raw)
    net.settle()
    receipt = await view.transaction_receipt(keccak256(raw))
    assert receipt is not None
    assert receipt.status == 1


async def test_unknown_hashes_are_null(net):
    view = net.views().network
    net.settle()
    assert await view.transaction_receipt(b"\5" * 32) is None
    assert await view.transaction_by_hash(b"\5" * 32) is None


async def test_fees_follow_the_shards(net, code):
    view = net.views().network
    alice, carol = net.users[0][0], net.users[1][0]
    await view.send_raw_transaction(alice.sign(carol.address, 1, tip=2 * GWEI))
    await view.send_raw_transaction(carol.sign(net.users[1][1].address, 1, tip=3 * GWEI))
    net.round()
    last = net.round()
    history = await view.fee_history(10, "latest", (0.0, 50.0, 100.0))
    assert history.oldest_block == 0
    assert len(history.base_fee_per_gas) == last + 2
    assert len(history.gas_used_ratio) == len(history.reward) == last + 1
    assert history.gas_used_ratio[1] == pytest.approx(42_000 / 60_000_000)
    assert history.reward[0] == (0, 0, 0)
    assert history.reward[1] == (3 * GWEI,) * 3
    assert history.reward[2] == (2 * GWEI,) * 3  # what departed is paid for where it arrived
    tips = [net.beacon.state.tip(s).header for s in net.ids]
    assert history.base_fee_per_gas[-2] == max(tip.base_fee_per_gas for tip in tips)
    prices = [net.beacon.state.base_fee(s) for s in net.ids]
    assert history.base_fee_per_gas[-1] == max(prices)
    assert await view.max_priority_fee() == GWEI
    assert await view.gas_price() == max(prices) + max(prices) // 8 + GWEI
    short = await view.fee_history(1, last, ())
    assert short.oldest_block == last
    assert short.reward is None
    assert short.base_fee_per_gas == history.base_fee_per_gas[-2:]


async def test_a_forwarded_call_is_listed_once_where_it_ran(devnet_class, code):
    """The contract is born on shard 0, away from its range (shard 1), while a call to it is under way."""
    net = devnet_class(3)
    views = net.views()
    view = views.network
    alice, sender = net.users[0][0], net.users[2][0]
    while home_by_range(created(alice.address, alice.nonce), 3) != 1:
        await view.send_raw_transaction(alice.sign(alice.address))
    contract = created(alice.address, alice.nonce)
    await view.send_raw_transaction(alice.sign(None, data=code[0], gas=300_000))
    tx_hash = await view.send_raw_transaction(sender.sign(contract, data=word(9), gas=120_000))
    net.settle()
    net.settle()
    receipt = await view.transaction_receipt(tx_hash)
    assert receipt.status == 1
    assert [log.address for log in receipt.logs] == [contract]
    assert await view.storage_at(contract, 0, "latest") == word(9)
    listed = [
        number
        for number in range(net.head_height() + 1)
        if tx_hash in (await view.block(number, False)).transactions
    ]
    assert listed == [receipt.block_number]
    assert await net.views(own=1).network.transaction_receipt(tx_hash) == receipt

    _, first = next(item for item in net.chains[2].sent_in(1))
    path = await views.atoll.message(first.id)
    assert (path["src"], path["dst"], path["kind"]) == (2, 1, "CALL")
    assert path["originTx"] == "0x" + tx_hash.hex()
    first_leg, second_leg = path["legs"]
    assert (first_leg["src"], first_leg["dst"]) == (2, 1)
    assert first_leg["delivered"]["outcome"] == "forwarded"
    (caused,) = first_leg["delivered"]["caused"]
    assert (caused["relation"], caused["id"]) == ("forward", second_leg["id"])
    assert second_leg["sent"]["item"] == path["id"]
    assert (second_leg["src"], second_leg["dst"]) == (1, 0)
    assert (path["status"], path["outcome"]) == ("delivered", "ok")
    assert second_leg["delivered"]["networkBlock"] == receipt.block_number
    assert len(second_leg["delivered"]["receipt"]["logs"]) == 1

    tree = await views.atoll.trace(tx_hash)
    assert tree["complete"]
    assert shape(tree["root"]) == (
        ("TRANSACTION", "departed"),
        [(("CALL", "forwarded"), [(("CALL", "ok"), [(("CREDIT", "ok"), [])])])],
    )
    assert (await views.atoll.audit(net.head_height()))["balanced"]


def shape(node):
    return (node["kind"], node["outcome"]), [shape(child) for child in node["children"]]
