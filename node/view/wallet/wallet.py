"""The development keys that a node holds, and its signatures with them.

The keys are public, in a network that is worth nothing: every client that reaches the endpoint may use them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import trio

from node.primitives.basics import ZERO_ADDRESS, Address, keccak_fast
from node.primitives.keys import SigningKey
from node.primitives.transaction import (
    MAX_TRANSACTION_BYTES,
    TYPE_ACCESS_LIST,
    TYPE_DYNAMIC_FEE,
    TYPE_LEGACY,
    TYPE_SET_CODE,
    Transaction,
    decode_transaction,
    encode_impersonated,
)
from node.primitives.unsigned import payload, sign
from node.view.calls import access_list, authorizations, is_large
from node.view.present import pending_transaction
from node.view.wallet import typed_data
from rpc.backend import ChainBackend
from rpc.errors import InvalidParams, LimitExceeded, ServerError
from rpc.threads import Threads
from rpc.wire import NO_OVERRIDES, CallRequest, PreparedTransaction

RECENT_SECONDS = 3.0
"""Seconds that a nonce that was given out counts, although the pool does not show it: the answer may come from
another node of the shard, which has not heard of it yet.
"""
MAX_IMPERSONATED = 4096
AUTHORIZATION_BYTES = 24  # at least
SIGNABLE = (TYPE_LEGACY, TYPE_ACCESS_LIST, TYPE_DYNAMIC_FEE, TYPE_SET_CODE)
_SIGNED_MESSAGE = b"\x19Ethereum Signed Message:\n"


class Impersonation:
    """The addresses that this node lets its users impersonate: a set, or all. A node forgets it when it ends.
    `lock` is held while a nonce of one of them is given out.
    """

    def __init__(self) -> None:
        self._addresses: dict[bytes, None] = {}
        self.every_account = False
        self.lock = trio.Lock()

    @property
    def addresses(self) -> tuple[bytes, ...]:
        """In the order in which it began; without those that `every_account` adds."""
        return tuple(self._addresses)

    def covers(self, address: bytes | None) -> bool:
        return address is not None and (self.every_account or address in self._addresses)

    def start(self, address: bytes) -> None:
        if len(self._addresses) >= MAX_IMPERSONATED and address not in self._addresses:
            raise LimitExceeded(f"{MAX_IMPERSONATED} accounts are impersonated already")
        self._addresses[address] = None

    def stop(self, address: bytes) -> None:
        self._addresses.pop(address, None)


class Wallet:
    """An `rpc.backend.WalletBackend`. `addresses` are listed in this order, with or without their keys, and the
    impersonated ones after them.
    """

    def __init__(
        self,
        keys: Mapping[bytes, SigningKey],
        *,
        addresses: Iterable[bytes],
        chain_id: int,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self._keys = dict(keys)
        self._listed = tuple(addresses)
        self._chain_id = chain_id
        self._clock = clock
        self._locks = {address: trio.Lock() for address in self._keys}
        self._given: dict[bytes, tuple[int, float]] = {}  # the newest nonce of each, and when
        self.impersonation = Impersonation()
        self._aside = Threads(1)

    @property
    def addresses(self) -> tuple[bytes, ...]:
        """The accounts from which this node sends for its users."""
        others = (a for a in self.impersonation.addresses if a not in self._listed)
        return (*self._listed, *others)

    # ------------------------------------------------------------------ messages

    def sign_message(self, address: bytes, message: bytes) -> bytes:
        """65 bytes, r || s || v with v of 27 or 28 (EIP-191, version 0x45)."""
        digest = keccak_fast(_SIGNED_MESSAGE + b"%d" % len(message) + message)
        return _electrum(self._key(address).sign_digest(digest))

    async def sign_typed_data(self, address: bytes, data: dict[str, Any]) -> bytes:
        """The same of EIP-712 data. Raises InvalidParams for data that are not what their types say."""
        key = self._key(address)
        return _electrum(key.sign_digest(await self._aside.run(partial(typed_data.digest, data))))

    # ------------------------------------------------------------------ transactions

    async def fill(self, chain: ChainBackend, request: CallRequest) -> PreparedTransaction:
        """Everything that was left out, as the chain has it now. Needs no key."""
        nonce = request.nonce
        if nonce is None:
            nonce = await chain.transaction_count(request.from_ or b"", "pending")
        tx = await self._fill(chain, request, nonce)

        def prepare() -> PreparedTransaction:
            raw = payload(tx)
            return PreparedTransaction(raw=raw, view=pending_transaction(replace(tx, raw=raw)))

        return await self._aside.run_if(is_large(request, NO_OVERRIDES), prepare)

    async def sign(self, chain: ChainBackend, request: CallRequest) -> PreparedTransaction:
        key = self._key(request.from_)
        nonce = request.nonce
        if nonce is None:
            nonce = await chain.transaction_count(key.address, "pending")
        tx = await self._fill(chain, request, nonce)

        def prepare() -> PreparedTransaction:
            raw = sign(tx, key)
            return PreparedTransaction(raw=raw, view=pending_transaction(decode_transaction(raw)))

        return await self._aside.run_if(is_large(request, NO_OVERRIDES), prepare)

    async def send(self, chain: ChainBackend, request: CallRequest) -> bytes:
        """Nonces of an account are given out one at a time, in the order in which they are asked for."""
        if request.from_ not in self._keys and self.impersonation.covers(request.from_):
            return await self.send_unsigned(chain, request)
        key = self._key(request.from_)
        async with self._locks[key.address]:
            return await self._submit(chain, request, key.address, lambda tx: sign(tx, key))

    async def send_unsigned(self, chain: ChainBackend, request: CallRequest) -> bytes:
        """The same for a sender whose key is not needed; where that is allowed is the chain's rule."""
        sender = Address(request.from_ or b"")
        async with self.impersonation.lock:
            self._forget_old()
            return await self._submit(
                chain, request, sender, lambda tx: encode_impersonated(sender, payload(tx))
            )

    async def _submit(
        self,
        chain: ChainBackend,
        request: CallRequest,
        sender: bytes,
        encode: Callable[[Transaction], bytes],
    ) -> bytes:
        nonce = request.nonce
        if nonce is None:
            nonce = await self._next_nonce(chain, sender)
        tx = await self._fill(chain, request, nonce)
        large = is_large(request, NO_OVERRIDES)
        raw = await self._aside.run_if(large, partial(encode, tx))
        tx_hash = await chain.submit(raw)
        if nonce > self._given.get(sender, (-1, 0.0))[0]:
            self._given[sender] = (nonce, self._clock())
        return tx_hash

    def forget_nonces(self) -> None:
        """Forget the nonces that were given out: the chain went back."""
        self._given.clear()

    def _forget_old(self) -> None:
        """Senders without a key may be any number: only what still counts is kept of them."""
        now = self._clock()
        for address, (_, when) in list(self._given.items()):
            if address not in self._keys and now - when >= RECENT_SECONDS:
                del self._given[address]

    async def _next_nonce(self, chain: ChainBackend, address: bytes) -> int:
        nonce = await chain.transaction_count(address, "pending")
        last, when = self._given.get(address, (-1, 0.0))
        if nonce <= last and self._clock() - when < RECENT_SECONDS:
            return last + 1
        if nonce <= last:
            del self._given[address]  # the pool has dropped it
        return nonce

    def _key(self, address: bytes | None) -> SigningKey:
        key = self._keys.get(address or b"")
        if key is None:
            raise ServerError("unknown account")
        return key

    async def _fill(self, chain: ChainBackend, request: CallRequest, nonce: int) -> Transaction:
        if request.chain_id is not None and request.chain_id != self._chain_id:
            raise InvalidParams(
                f"chainId does not match node's (have={request.chain_id}, want={self._chain_id})"
            )
        if request.to is None and not request.data:
            raise ServerError("contract creation without any data provided")
        _check_size(request)
        kind = type_of(request)
        max_fee, tip = await _fees(chain, request, kind)
        gas = request.gas
        if gas is None:
            # a transaction may wait for a lower base fee: its own fee does not matter here
            unpriced = replace(
                request, gas_price=None, max_fee_per_gas=None, max_priority_fee_per_gas=None
            )
            gas = await chain.estimate_gas(unpriced, "pending", NO_OVERRIDES)
        return Transaction(
            type=kind,
            chain_id=self._chain_id,
            nonce=nonce,
            max_priority_fee_per_gas=tip,
            max_fee_per_gas=max_fee,
            gas=gas,
            to=None if request.to is None else Address(request.to),
            value=request.value or 0,
            data=request.data,
            access_list=access_list(request),
            authorizations=authorizations(request),
            v=0,
            r=0,
            s=0,
            raw=b"",
            sender=Address(request.from_ or ZERO_ADDRESS),
        )


def type_of(request: CallRequest) -> int:
    """The type that a request implies, or the one that it names, as far as its prices fit (geth looks at the
    prices only). Raises InvalidParams.
    """
    if request.authorization_list is not None:
        if not request.authorization_list:
            raise InvalidParams(
                "authorizationList: a transaction of type 4 has one at least (EIP-7702)"
            )
        if request.gas_price is not None:
            raise InvalidParams("a transaction of type 4 has a maxFeePerGas, no gasPrice")
        implied = TYPE_SET_CODE
    elif request.gas_price is None:
        implied = TYPE_DYNAMIC_FEE
    else:
        implied = TYPE_LEGACY if request.access_list is None else TYPE_ACCESS_LIST
    kind = implied if request.type is None else request.type
    if kind not in SIGNABLE:
        raise InvalidParams(f"transaction type not supported: {kind}")
    fixed_price = kind in (TYPE_LEGACY, TYPE_ACCESS_LIST)
    if fixed_price and (request.max_fee_per_gas or request.max_priority_fee_per_gas):
        return implied
    if not fixed_price and request.gas_price is not None:
        return implied
    return kind


def _check_size(request: CallRequest) -> None:
    """Refuse what no pool takes before anything is made of it. Raises ServerError."""
    entries = request.access_list or ()
    least = len(request.data) + sum(20 + 32 * len(entry.storage_keys) for entry in entries)
    least += AUTHORIZATION_BYTES * len(request.authorization_list or ())
    if least > MAX_TRANSACTION_BYTES:
        raise ServerError(
            f"oversized data: transaction size {least}, limit {MAX_TRANSACTION_BYTES}"
        )


async def _fees(chain: ChainBackend, request: CallRequest, kind: int) -> tuple[int, int]:
    """(max fee, tip) in wei per gas."""
    if kind in (TYPE_LEGACY, TYPE_ACCESS_LIST):
        price = request.gas_price
        if price is None:
            price = await chain.gas_price()
        return price, price
    tip = request.max_priority_fee_per_gas
    if tip is None:
        tip = await chain.max_priority_fee()
        if request.max_fee_per_gas is not None:
            tip = min(tip, request.max_fee_per_gas)
    max_fee = request.max_fee_per_gas
    if max_fee is None:
        next_base_fee = (await chain.fee_history(1, "latest", ())).base_fee_per_gas[-1]
        max_fee = 2 * next_base_fee + tip
    return max_fee, tip


def _electrum(signature: bytes) -> bytes:
    return signature[:64] + bytes([signature[64] + 27])
