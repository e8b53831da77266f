"""The same network for asyncio and trio: `atoll.aio` waits without holding the event loop up."""

import pytest
import trio
from atoll.testing import AsyncNetwork, until
from web3 import AsyncHTTPProvider, AsyncWeb3

ETHER = 10**18


@pytest.mark.asyncio
async def test_asyncio(atoll):
    w3 = AsyncWeb3(AsyncHTTPProvider(atoll.rpc))
    alice, bob = atoll.account(shard=0), await atoll.aio.new_account(shard=1, ether=1)
    # Nodes sign for the funded accounts.
    tx = await w3.eth.send_transaction({"from": alice.address, "to": bob.address, "value": ETHER})
    await atoll.aio.wait_for(until.settled(tx))
    assert await w3.eth.get_balance(bob.address) == 2 * ETHER
    await w3.provider.disconnect()


@pytest.mark.trio
async def test_trio(atoll):
    alice = atoll.account(shard=0)
    bobs = [await atoll.aio.new_account(shard=shard, ether=0) for shard in (0, 1)]

    async def pay(bob) -> None:
        tx = await atoll.aio.send(alice, bob.address, value=ETHER)
        await atoll.aio.wait_for(until.settled(tx))
        assert await atoll.aio.request("eth_getBalance", bob.address, "latest") == hex(ETHER)

    for bob in bobs:  # one after the other, for the sake of the nonce
        await pay(bob)
    async with trio.open_nursery() as nursery:
        for bob in bobs:
            nursery.start_soon(atoll.aio.wait_for, until.balance(bob.address, ETHER))


@pytest.mark.trio
async def test_a_network_of_an_asynchronous_block():
    async with AsyncNetwork.start(shards=1) as net:
        assert await net.wait_for(until.blocks(1)) > 0
