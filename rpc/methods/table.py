"""The parts of a method."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from rpc import decode
from rpc.backend import Backend, ChainBackend
from rpc.encoding import parse_address, parse_hash
from rpc.filters import Filters
from rpc.origins import Trust
from rpc.params import Param
from rpc.subscriptions import Subscriber
from rpc.threads import Threads
from rpc.times import LOOK_UP, Patience
from rpc.wire import BlockHash, BlockRef

T = TypeVar("T")
Scope: TypeAlias = int | None


@dataclass(frozen=True, slots=True)
class Context:
    """The receiver of a call: `scope` is None for the network view, else a shard; `subscriber` is None if the
    transport carries answers only. `aside` runs work that may be long.
    """

    backend: Backend
    scope: Scope
    filters: Filters
    aside: Threads
    subscriber: Subscriber | None = None

    @property
    def chain(self) -> ChainBackend:
        """Raises ResourceNotFound for a shard that does not exist."""
        return self.backend.chain(self.scope)


Handler: TypeAlias = Callable[..., Awaitable[Any]]
"""Gets the context and the bound arguments; returns what the encoder can write."""

Port: TypeAlias = Callable[[Context], Callable[..., Awaitable[T]]]
"""A question of the backend, such as `lambda c: c.chain.balance`."""


def ask(port: Port[T | None], render: Callable[[T], Any] = lambda answer: answer) -> Handler:
    """A method that asks one question with the bound arguments, and renders what it gets. None stays null."""

    async def handler(c: Context, *arguments: Any) -> Any:
        answer = await port(c)(*arguments)
        return None if answer is None else render(answer)

    return handler


def show(fact: Callable[[Context], Any]) -> Handler:
    """A method without parameters, for which nothing has to be asked."""

    async def handler(c: Context) -> Any:
        return fact(c)

    return handler


def tell(port: Port[None]) -> Handler:
    """A method that changes something; true, once it is done."""

    async def handler(c: Context, *arguments: Any) -> bool:
        await port(c)(*arguments)
        return True

    return handler


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the endpoint.

    A call of it may take `patience.method`; an endpoint that gives requests less than that gives it no more.
    `outlives`: it goes on where the backend is replaced. `brief`: it is done in a moment, so where the backend
    is replaced it may as well end on the old one; that saves the methods that are called most a scope. `trust`:
    the least trust that its callers need. `sends`: its result is the hash of a transaction that was handed in.
    """

    params: tuple[Param, ...]
    handler: Handler
    patience: Patience = LOOK_UP
    outlives: bool = False
    brief: bool = False
    trust: Trust = Trust.ANYBODY
    sends: bool = False


def _hash_ref(value: object) -> BlockRef:
    return BlockHash(parse_hash(value))


NUMBER = Param("block", decode.block_number)
BLOCK = Param("block", decode.block_ref)
LATEST = Param("block", decode.block_ref, "latest")
BY_HASH = Param("block hash", _hash_ref)
ADDRESS = Param("address", parse_address)
HASH = Param("transaction hash", parse_hash)
INDEX = Param("index", decode.uint64)
REQUEST = Param("transaction", decode.call_request)
