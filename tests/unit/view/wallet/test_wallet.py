"""What the node signs, what it fills in, and in which order it gives out nonces."""

import json

import pytest
import trio
from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data

from node.primitives.transaction import decode_transaction
from rpc.dispatch import Dispatcher
from rpc.errors import InvalidParams, ServerError
from rpc.limits import Limits
from rpc.wire import AccessListEntry, CallRequest, SetCodeAuthorization

GWEI = 10**9
AUTHORIZATION = SetCodeAuthorization(chain_id=1, address=b"\1" * 20, nonce=0, y_parity=0, r=1, s=1)
TYPED = {
    "types": {
        "EIP712Domain": [{"name": "name", "type": "string"}],
        "Mail": [{"name": "to", "type": "address"}, {"name": "contents", "type": "string"}],
    },
    "primaryType": "Mail",
    "domain": {"name": "Ether Mail"},
    "message": {"to": "0x" + "bb" * 20, "contents": "Hello"},
}


async def test_messages_are_signed_as_everybody_does(net):
    backend, alice = net.views().backend, net.users[0][0]
    expected = Account.from_key(alice.key.secret)
    message = encode_defunct(b"hello")
    assert (
        backend.wallet.sign_message(alice.address, b"hello")
        == expected.sign_message(message).signature
    )
    typed = encode_typed_data(full_message=TYPED)
    assert (
        await backend.wallet.sign_typed_data(alice.address, TYPED)
        == expected.sign_message(typed).signature
    )
    with pytest.raises(InvalidParams, match="typed data"):
        await backend.wallet.sign_typed_data(alice.address, {**TYPED, "message": {"to": 5}})
    with pytest.raises(ServerError, match="unknown account"):
        backend.wallet.sign_message(b"\1" * 20, b"")


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, 2),
        ({"gas_price": 5 * GWEI}, 0),
        ({"gas_price": 5 * GWEI, "access_list": (AccessListEntry(b"\1" * 20, ()),)}, 1),
        ({"type": 0}, 0),
        ({"max_fee_per_gas": 9 * GWEI}, 2),
        ({"max_fee_per_gas": GWEI // 2, "max_priority_fee_per_gas": 1}, 2),
        ({"type": 0, "max_fee_per_gas": 9 * GWEI}, 2),  # the prices decide, as in geth
        ({"type": 2, "gas_price": 5 * GWEI}, 0),
    ],
)
async def test_what_is_left_out_is_filled_in(net, fields, kind):
    backend, alice, bob = net.views().backend, *net.users[0][:2]
    request = CallRequest(from_=alice.address, to=bob.address, value=1, **fields)
    prepared = await backend.wallet.sign(backend.chain(None), request)
    tx = decode_transaction(prepared.raw)
    assert (tx.type, tx.sender, tx.to, tx.nonce) == (kind, alice.address, bob.address, 0)
    assert tx.gas == 21_000 + 2400 * len(tx.access_list)
    assert tx.max_priority_fee_per_gas <= tx.max_fee_per_gas
    filled = await backend.wallet.fill(backend.chain(None), request)
    assert (filled.view.gas, filled.view.type) == (tx.gas, kind)
    assert Account.recover_transaction(prepared.raw).lower() == "0x" + alice.address.hex()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"type": 3}, "type not supported"),
        ({"authorization_list": ()}, "has one at least"),
        ({"authorization_list": (AUTHORIZATION,), "gas_price": 5}, "maxFeePerGas, no gasPrice"),
        ({"chain_id": 5}, "chainId does not match"),
        ({"to": None}, "without any data"),
    ],
)
async def test_what_cannot_be_signed(net, fields, message):
    backend, alice = net.views().backend, net.users[0][0]
    request = CallRequest(**{"from_": alice.address, "to": alice.address, **fields})
    with pytest.raises((InvalidParams, ServerError), match=message):
        await backend.wallet.sign(backend.chain(None), request)


async def test_impersonated_accounts_are_listed_after_the_others(net):
    backend, alice = net.views().backend, net.users[0][0]
    listed = backend.wallet.addresses
    assert alice.address in listed
    for address in (b"\1" * 20, alice.address):
        backend.wallet.impersonation.start(address)
    assert backend.wallet.addresses == (*listed, b"\1" * 20)


async def test_pending_transactions_are_those_of_our_accounts(net):
    backend, alice = net.views().backend, net.users[0][0]
    stranger = net.users[1][0]
    for user in (alice, stranger):
        await backend.chain(None).send_raw_transaction(user.sign(user.address, 1))
    backend.wallet._listed = (alice.address,)
    body = b'{"jsonrpc": "2.0", "id": 1, "method": "eth_pendingTransactions"}'
    answer = json.loads(await Dispatcher(backend, Limits()).handle(body, None))
    assert [tx["from"] for tx in answer["result"]] == ["0x" + alice.address.hex()]


@pytest.mark.parametrize("shard", [0, 1], ids=["own", "remote"])
async def test_nonces_are_given_out_in_order_under_concurrency(net, shard):
    backend, user = net.views().backend, net.users[shard][0]
    hashes = []

    async def send():
        request = CallRequest(from_=user.address, to=user.address, value=len(hashes))
        hashes.append(await backend.wallet.send(backend.chain(None), request))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(send)
    pool = await backend.chain(None).pool.content(user.address)
    assert [view.nonce for view in pool.pending] == list(range(20))
    assert {view.hash for view in pool.pending} == set(hashes)
    assert await backend.chain(None).pool.counts() == (20, 0)


async def test_a_nonce_that_another_node_has_not_heard_of_is_not_given_twice(net):
    views, alice = net.views(), net.users[0][0]
    request = CallRequest(from_=alice.address, to=alice.address)
    await views.backend.wallet.send(views.backend.chain(None), request)
    net.pools[0].next_nonce = lambda address: 0  # as a node to which nothing was gossiped yet
    tx_hash = await views.backend.wallet.send(views.backend.chain(None), request)
    assert (await views.network.transaction_by_hash(tx_hash)).nonce == 1
