"""Signing with the keys that the node holds."""

from typing import Any

from rpc import decode, render
from rpc.encoding import data, parse_data
from rpc.errors import InvalidParams
from rpc.methods.table import ADDRESS, REQUEST, Context, Method, ask, show
from rpc.origins import Trust
from rpc.params import Param
from rpc.threads import SMALL
from rpc.times import EXECUTE
from rpc.wire import CallRequest, PreparedTransaction


async def _sign(c: Context, address: bytes, message: bytes) -> str:
    return data(c.backend.wallet.sign_message(address, message))


async def _personal_sign(c: Context, message: bytes, address: bytes) -> str:
    return await _sign(c, address, message)


async def _fill_transaction(c: Context, request: CallRequest) -> dict[str, Any]:
    prepared = await c.backend.wallet.fill(c.chain, _with_sender(request))
    return await c.aside.run_if(
        len(prepared.raw) > SMALL,
        lambda: {
            "raw": data(prepared.raw),
            "tx": render.unsigned_transaction(prepared.view),
        },
    )


async def _sign_transaction(c: Context, request: CallRequest) -> dict[str, Any]:
    prepared = await c.backend.wallet.sign(c.chain, _with_sender(request))
    return await c.aside.run_if(len(prepared.raw) > SMALL, lambda: _signed(prepared))


async def _send_transaction(c: Context, request: CallRequest) -> str:
    return data(await c.backend.wallet.send(c.chain, _with_sender(request)))


def _signed(prepared: PreparedTransaction) -> dict[str, Any]:
    return {"raw": data(prepared.raw), "tx": render.signed_transaction(prepared.view)}


def _with_sender(request: CallRequest) -> CallRequest:
    if request.from_ is None:
        raise InvalidParams("invalid argument 0 (transaction): from is missing")
    return request


METHODS: dict[str, Method] = {
    "eth_accounts": Method(
        (), show(lambda c: [data(address) for address in c.backend.wallet.addresses])
    ),
    "eth_sign": Method((ADDRESS, Param("message", parse_data)), _sign, trust=Trust.NAMED),
    "personal_sign": Method(
        (Param("message", parse_data), ADDRESS), _personal_sign, trust=Trust.NAMED
    ),
    **dict.fromkeys(
        ("eth_signTypedData", "eth_signTypedData_v4"),
        Method(
            (ADDRESS, Param("typed data", decode.typed_data)),
            ask(lambda c: c.backend.wallet.sign_typed_data, data),
            trust=Trust.NAMED,
        ),
    ),
    "eth_fillTransaction": Method((REQUEST,), _fill_transaction, EXECUTE),
    "eth_signTransaction": Method((REQUEST,), _sign_transaction, EXECUTE, trust=Trust.NAMED),
    "eth_sendTransaction": Method(
        (REQUEST,), _send_transaction, EXECUTE, trust=Trust.NAMED, sends=True
    ),
}
