"""The node itself: `web3_`, `net_`, `txpool_`, and its features."""

from collections.abc import Iterable
from typing import Any

from eth_hash.auto import keccak
from eth_utils.address import to_checksum_address

from rpc import render
from rpc.encoding import data, parse_address, parse_data
from rpc.errors import ServerError
from rpc.methods.table import Context, Method, ask, show
from rpc.params import Param
from rpc.wire import PoolView, TransactionView


async def _sha3(_: Context, payload: bytes) -> str:
    return data(keccak(payload))


async def _syncing(c: Context) -> Any:
    c.backend.chain(c.scope)  # where there is none, nothing syncs
    return render.syncing(await c.backend.syncing())


async def _coinbase(c: Context) -> str:
    address = await c.backend.coinbase()
    if address is None:
        raise ServerError("etherbase must be explicitly specified: this node proposes no blocks")
    return data(address)


async def _mining(c: Context) -> bool:
    return await c.backend.coinbase() is not None


async def _capabilities(c: Context) -> dict[str, Any]:
    """Nothing is ever deleted."""
    head = await c.chain.block("latest", False)
    if head is None or head.hash is None:
        raise ServerError("header not found")
    kinds = ("state", "tx", "logs", "receipts", "blocks", "stateproofs")
    return {
        "head": {"number": hex(head.number), "hash": data(head.hash)},
        **{kind: {"disabled": False, "oldestBlock": "0x0"} for kind in kinds},
    }


# ---------------------------------------------------------------------- txpool


async def _pool_status(c: Context) -> dict[str, str]:
    pending, queued = await c.chain.pool.counts()
    return {"pending": hex(pending), "queued": hex(queued)}


async def _pool_content(c: Context) -> dict[str, Any]:
    pool = await c.chain.pool.content(None)
    return await c.aside.run(
        lambda: {"pending": _by_sender(pool.pending), "queued": _by_sender(pool.queued)}
    )


async def _pool_content_from(c: Context, sender: bytes) -> dict[str, Any]:
    pool = await c.chain.pool.content(sender)
    return await c.aside.run(
        lambda: {
            name: {str(view.nonce): render.transaction(view) for view in part}
            for name, part in (("pending", pool.pending), ("queued", pool.queued))
        }
    )


async def _pool_inspect(c: Context) -> dict[str, Any]:
    pool = await c.chain.pool.content(None)
    return await c.aside.run(lambda: _inspected(pool))


async def _pending_transactions(c: Context) -> list[dict[str, Any]]:
    """Those of this node's own accounts, as in geth."""
    accounts = frozenset(c.backend.wallet.addresses)
    pool = await c.chain.pool.content(None)
    return await c.aside.run(
        lambda: [render.transaction(view) for view in pool.pending if view.from_ in accounts]
    )


def _inspected(pool: PoolView) -> dict[str, Any]:
    out: dict[str, dict[str, dict[str, str]]] = {}
    for name, part in (("pending", pool.pending), ("queued", pool.queued)):
        senders = out[name] = {}
        for view in part:
            senders.setdefault(to_checksum_address(view.from_), {})[str(view.nonce)] = _summary(
                view
            )
    return out


def _by_sender(views: Iterable[TransactionView]) -> dict[str, Any]:
    senders: dict[str, dict[str, Any]] = {}
    for view in views:
        senders.setdefault(to_checksum_address(view.from_), {})[str(view.nonce)] = (
            render.transaction(view)
        )
    return senders


def _summary(view: TransactionView) -> str:
    to = "contract creation" if view.to is None else to_checksum_address(view.to)
    waits = f" (waits: {view.extra['waitsFor']})" if "waitsFor" in view.extra else ""
    return f"{to}: {view.value} wei + {view.gas} gas × {view.gas_price} wei{waits}"


METHODS: dict[str, Method] = {
    "web3_clientVersion": Method((), ask(lambda c: c.backend.client_version)),
    "web3_sha3": Method((Param("data", parse_data),), _sha3),
    "net_version": Method((), ask(lambda c: c.backend.chain_id, str), brief=True),
    "net_listening": Method((), show(lambda c: True)),
    "net_peerCount": Method((), show(lambda c: hex(c.backend.node.peer_count()))),
    "admin_nodeInfo": Method((), show(lambda c: c.backend.node.node_info())),
    "admin_peers": Method((), show(lambda c: c.backend.node.peers())),
    "eth_chainId": Method((), ask(lambda c: c.backend.chain_id, hex), brief=True),
    "eth_syncing": Method((), _syncing),
    "eth_config": Method((), ask(lambda c: c.chain.config)),
    "eth_coinbase": Method((), _coinbase),
    "eth_mining": Method((), _mining),
    "eth_hashrate": Method((), show(lambda c: "0x0")),
    "eth_capabilities": Method((), _capabilities),
    "eth_pendingTransactions": Method((), _pending_transactions),
    "txpool_status": Method((), _pool_status),
    "txpool_content": Method((), _pool_content),
    "txpool_contentFrom": Method((Param("address", parse_address),), _pool_content_from),
    "txpool_inspect": Method((), _pool_inspect),
}
