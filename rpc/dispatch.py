"""JSON-RPC 2.0 between bytes and a backend: reads a body, runs its calls, writes the answer.

Knows nothing of HTTP or sockets. Whatever the body is, `Dispatcher.handle` returns a valid answer (or
None when nothing is owed): one call's failure is that call's error, a bug below is logged with its
traceback under a report id and the caller sees the id.
"""

import re
import secrets
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import msgspec
import structlog
import trio

from rpc.backend import Backend
from rpc.encoding import parse_hash
from rpc.errors import (
    InternalError,
    InvalidRequest,
    MethodNotSupported,
    ParseError,
    RequestTimedOut,
    ResponseTooLarge,
    RpcError,
)
from rpc.feeds import Feeds
from rpc.filters import Filters
from rpc.inclusion import Inclusion
from rpc.limits import Limits
from rpc.methods import METHODS, lookup
from rpc.methods.table import Context, Method
from rpc.nesting import too_deep
from rpc.origins import Trust
from rpc.params import bind
from rpc.subscriptions import Subscriber
from rpc.threads import SMALL, Threads

log = structlog.get_logger(__name__)

Id: TypeAlias = int | float | str | None
Observer: TypeAlias = Callable[[str, str, float], None]
"""Told of every call: its method ("unknown" for one that is not offered), its outcome ("ok", "error",
"timeout", "internal" or "cancelled"), and how many seconds it took."""
Limit: TypeAlias = Callable[[float], None]
"""Told the seconds that a call may take from now on; the caller that gave it cancels the call then."""

FOREIGN = {
    Trust.NAMED: "it signs with keys of this node or changes the chain: web pages of other machines may call "
    "it only if their origin is named in rpc.cors_origins",
    Trust.LOCAL: "it makes this node misbehave: no web page of another machine may call it",
}
"""Why a page may not call a method, by the trust that it takes."""
MAX_CONTEXTS = 1024  # a path may name any number
LOOK = "eth_getTransactionReceipt"
"""The question of a client that waits for its transaction."""
HOLD_MARGIN = 1.0
"""Seconds in which an answer goes out that was held back to the end."""
BATCH_SECONDS = 0.001
"""Of a batch, before other connections get their turn."""
THREADS = 2
"""Threads that decode and render large messages."""


class _Call(msgspec.Struct, frozen=True):
    """A request object; without an id it is a notification."""

    jsonrpc: str
    method: str
    params: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    id: Id | msgspec.UnsetType = msgspec.UNSET


class _ResultMessage(msgspec.Struct, frozen=True):
    jsonrpc: str
    id: Id
    result: Any


class _ErrorMessage(msgspec.Struct, frozen=True):
    jsonrpc: str
    id: Id
    error: dict[str, Any]


_encode = msgspec.json.encode
_decode_any = msgspec.json.Decoder().decode
_decode_call = msgspec.json.Decoder(_Call).decode
_decode_batch = msgspec.json.Decoder(list[msgspec.Raw]).decode
_opens_array = re.compile(rb"[ \t\r\n]*\[").match


class Dispatcher:
    """Answers JSON-RPC bodies from one backend, from many tasks. Its only state are the filters.

    The backend can be replaced at once: between `pause` and `go_on` calls wait. Calls under way are begun anew
    then, as if they had come later.
    """

    def __init__(
        self,
        backend: Backend,
        limits: Limits,
        *,
        observe: Observer = lambda method, outcome, seconds: None,
        replaceable: bool = False,
    ) -> None:
        self.backend = backend
        self._limits = limits
        self._observe = observe
        self.aside = Threads(THREADS)
        self._filters = Filters(limits, self.aside)
        self._contexts: dict[int | None, Context] = {}  # of those without a subscriber
        self._inclusion = Inclusion(limits.send_wait)
        self._replaceable = replaceable
        self._resumed: trio.Event | None = None  # set while calls wait
        self._running: set[trio.CancelScope] = set()
        self.feeds = Feeds(backend, self.aside, limits.subscriptions_of_all, limits.subscribers)

    def pause(self) -> None:
        """The backend answers no more."""
        if self._resumed is None:
            self._resumed = trio.Event()
        for scope in list(self._running):
            scope.cancel()
        self.feeds.pause()

    def go_on(self, backend: Backend, heads: Mapping[int | None, int]) -> None:
        """Another backend answers. `heads` are the newest blocks of its chains by scope: filters and
        subscriptions that have told later ones go back there."""
        self.backend = backend
        self._contexts.clear()
        self._filters.go_back(heads)
        self.feeds.go_on(backend, heads)
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None

    async def served(self) -> None:
        """Return when there is a backend that answers."""
        while self._resumed is not None:
            await self._resumed.wait()

    def _is(self, backend: Backend) -> bool:
        """True if this backend is still the one that answers."""
        return self._resumed is None and self.backend is backend

    @property
    def filters(self) -> int:
        """Filters that were made and not removed."""
        return len(self._filters)

    async def handle(
        self,
        body: bytes,
        scope: int | None,
        subscriber: Subscriber | None = None,
        *,
        limit: Limit | None = None,
        trust: Trust = Trust.LOCAL,
    ) -> bytes | None:
        """The answer to a request or a batch, None if it holds notifications only. `trust` is that of the
        client.

        `scope` is the shard that the endpoint stands for, None for the network view. Without a `subscriber`
        there is no connection to push to. With `limit`, a single request is not timed here: `limit` is told the
        seconds that it may take, and a caller that then cancels this gets the answer from `overdue`. (A scope
        of its own for every request would cost a tenth of a simple one.)
        """
        large = len(body) > SMALL
        if large and limit is not None:
            limit(self._limits.request_timeout)  # it may have to wait for a thread
        calls = await self.aside.run_if(large, lambda: self._calls(body))
        if isinstance(calls, bytes):
            return calls
        sent: list[bytes] = []
        if isinstance(calls, list):
            answer = await self._handle_batch(calls, scope, subscriber, trust, sent)
        else:
            answer = await self._run(calls, scope, subscriber, trust, sent, limit)
        if sent:
            if limit is not None:
                limit(self._limits.send_wait + HOLD_MARGIN)  # all else is done
            await self._hold_back(scope, sent)
        return answer

    async def _hold_back(self, scope: int | None, sent: list[bytes]) -> None:
        """Hold an answer back until what was sent has receipts, or the backend is replaced."""
        backend = self.backend
        with trio.CancelScope() as turn:
            self._running.add(turn)
            try:
                await self._inclusion.of(backend.chain(scope), sent, partial(_blocks_come, backend))
            except Exception as error:  # noqa: BLE001  it was handed in, and that is what the caller is told
                if self._is(backend):
                    _as_rpc_error(error, "the receipt of a sent transaction")
            finally:
                self._running.discard(turn)

    def _calls(self, body: bytes) -> "_Call | list[_Call | bytes] | bytes":
        """The call in a body, or the calls of a batch, or the answer that names the error."""
        if too_deep(body):
            return _failure(None, ParseError("too many nested arrays and objects"))
        if not _opens_array(body):
            return _read(body)
        try:
            items = _decode_batch(body)
        except ValueError as error:
            return _failure(None, ParseError(str(error)))
        if not items:
            return _failure(None, InvalidRequest("empty batch"))
        if len(items) > self._limits.batch_size:
            return _failure(
                None,
                InvalidRequest(
                    f"batch too large: {len(items)} requests, "
                    f"at most {self._limits.batch_size} are allowed"
                ),
            )
        return [_read(item) for item in items]

    def _context(self, scope: int | None, subscriber: Subscriber | None) -> Context:
        if subscriber is not None:
            return Context(self.backend, scope, self._filters, self.aside, subscriber)
        context = self._contexts.get(scope)
        if context is None:
            context = Context(self.backend, scope, self._filters, self.aside)
            if len(self._contexts) < MAX_CONTEXTS:
                self._contexts[scope] = context
        return context

    def overdue(self, body: bytes) -> bytes | None:
        """The answer to a single request that `limit` has ended; None if it was a notification."""
        call = self._calls(body)
        if isinstance(call, _Call):
            return _failure_of(call, self._timed_out(call.method))
        return call if isinstance(call, bytes) else _failure(None, RequestTimedOut())

    async def health(self) -> tuple[bool, bytes]:
        """True if the backend calls itself healthy, and its report as JSON. Never raises: a backend that cannot
        tell within the request timeout is not healthy.
        """
        try:
            with trio.fail_after(self._limits.request_timeout):
                await self.served()
                healthy, details = self.backend.node.health()
                return healthy, _encode(details)
        except trio.TooSlowError:
            return False, _encode({"error": RequestTimedOut().message})
        except Exception as error:  # noqa: BLE001  the boundary: a bug below must not end the server
            return False, _encode({"error": _as_rpc_error(error, "health").message})

    async def _handle_batch(
        self,
        calls: "list[_Call | bytes]",
        scope: int | None,
        subscriber: Subscriber | None,
        trust: Trust,
        sent: list[bytes],
    ) -> bytes | None:
        answers: list[bytes] = []
        size = done = 0
        reason: RpcError = RequestTimedOut()
        turn = time.perf_counter()
        # In order and one after the other: a batch of transactions relies on it.
        with trio.move_on_after(self._limits.request_timeout):
            for call in calls:
                if size > self._limits.batch_response_size:
                    reason = ResponseTooLarge()
                    break
                answer = (
                    call
                    if isinstance(call, bytes)
                    else await self._run(call, scope, subscriber, trust, sent)
                )
                done += 1
                if answer is not None:
                    answers.append(answer)
                    size += len(answer)
                if time.perf_counter() - turn > BATCH_SECONDS:
                    await trio.lowlevel.checkpoint()
                    turn = time.perf_counter()
        for call in calls[done:]:
            left_over = call if isinstance(call, bytes) else _failure_of(call, reason)
            if left_over is not None:
                answers.append(left_over)
        return b"[" + b",".join(answers) + b"]" if answers else None

    async def _run(
        self,
        call: _Call,
        scope: int | None,
        subscriber: Subscriber | None,
        trust: Trust,
        sent: list[bytes],
        limit: Limit | None = None,
    ) -> bytes | None:
        """The answer to one call; `sent` gets the hash of a transaction that it has handed in."""
        started, outcome = time.perf_counter(), "cancelled"
        try:
            method = lookup(call.method)
            if trust < method.trust:
                raise MethodNotSupported(call.method, FOREIGN[method.trust])
            seconds = self._seconds(method)
            if limit is not None:
                limit(seconds)
                arguments = await self._bind(method, call)
                result = await self._perform(method, arguments, scope, subscriber)
            else:
                with trio.move_on_after(seconds) as within:
                    arguments = await self._bind(method, call)
                    result = await self._perform(method, arguments, scope, subscriber)
                if within.cancelled_caught:
                    raise self._timed_out(call.method)
            answer = None
            if call.id is not msgspec.UNSET:
                answer = _encode(_ResultMessage("2.0", call.id, result))
                if method.sends:
                    sent.append(parse_hash(result))
            if call.method == LOOK:
                self._inclusion.seen(arguments[0])
            outcome = "ok"
            return answer
        except Exception as error:  # noqa: BLE001  the boundary: a bug below must not end the server
            reason = _as_rpc_error(error, call.method)
            outcome = _outcome(reason)
            return _failure_of(call, reason)
        finally:
            name = call.method if call.method in METHODS else "unknown"
            self._observe(name, outcome, time.perf_counter() - started)

    async def _bind(self, method: Method, call: _Call) -> list[Any]:
        """The arguments of a call. Raises InvalidParams."""
        if call.params is msgspec.UNSET:
            return bind(method.params, None)
        large = memoryview(call.params).nbytes > SMALL
        return await self.aside.run_if(large, partial(bind, method.params, call.params))

    async def _perform(
        self,
        method: Method,
        arguments: list[Any],
        scope: int | None,
        subscriber: Subscriber | None,
    ) -> Any:
        """The result of the handler, begun anew if the backend is replaced meanwhile."""
        if self._resumed is not None:
            await self.served()
        if not self._replaceable or method.outlives:
            context = self._context(scope, subscriber)
            return await method.handler(context, *arguments)
        while True:
            await self.served()
            backend = self.backend
            context = self._context(scope, subscriber)
            if method.brief:
                try:
                    return await method.handler(context, *arguments)
                except Exception:
                    if self._is(backend):
                        raise
                    continue
            with trio.CancelScope() as turn:
                self._running.add(turn)
                try:
                    return await method.handler(context, *arguments)
                except Exception:
                    if self._is(backend):
                        raise  # otherwise the old chain is gone, and this failed for that
                finally:
                    self._running.discard(turn)

    def _seconds(self, method: Method) -> float:
        return min(method.patience.method, self._limits.request_timeout)

    def _timed_out(self, name: str) -> RequestTimedOut:
        return RequestTimedOut(f"{name} may take {self._seconds(lookup(name)):g} s")


def _outcome(error: RpcError) -> str:
    if isinstance(error, RequestTimedOut):
        return "timeout"
    return "internal" if isinstance(error, InternalError) else "error"


def _read(body: bytes | msgspec.Raw) -> _Call | bytes:
    """The call in a JSON text, or the answer that names its error."""
    try:
        call = _decode_call(body)
    except ValueError:
        return _refuse(body)
    if call.jsonrpc != "2.0":
        return _refuse(body)
    return call


def _refuse(body: bytes | msgspec.Raw) -> bytes:
    """The slow path of `_read`: which rule a text breaks, with the id if it can be told."""
    try:
        value = _decode_any(body)
    except ValueError as error:
        return _failure(None, ParseError(str(error)))
    if not isinstance(value, dict):
        return _failure(None, InvalidRequest("invalid request: not an object"))
    request_id = value.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, int | float | str | None):
        return _failure(None, InvalidRequest("invalid request: id must be a string or a number"))
    if value.get("jsonrpc") != "2.0":
        why = 'jsonrpc must be "2.0"'
    elif "method" not in value:
        why = "method is missing"
    else:
        why = "method must be a string"
    return _failure(request_id, InvalidRequest(f"invalid request: {why}"))


def _failure_of(call: _Call, error: RpcError) -> bytes | None:
    return None if call.id is msgspec.UNSET else _failure(call.id, error)


def _failure(request_id: Id, error: RpcError) -> bytes:
    members: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        members["data"] = error.data
    try:
        return _encode(_ErrorMessage("2.0", request_id, members))
    except (TypeError, ValueError, RecursionError) as unencodable:
        # A backend put something into an error that JSON cannot carry.
        ours = _internal(unencodable, "error answer")
        return _encode(
            _ErrorMessage("2.0", request_id, {"code": ours.code, "message": ours.message})
        )


async def _blocks_come(backend: Backend) -> bool:
    """True if a block for a transaction that waits is made without being ordered."""
    return backend.dev.off is not None or await backend.dev.mining.automines()


def _as_rpc_error(error: Exception, method: str) -> RpcError:
    """The error that the caller is told for an exception. A backend that asks several places at once raises
    groups: a group of a single refusal is that refusal.
    """
    cause = error
    while isinstance(cause, ExceptionGroup) and len(cause.exceptions) == 1:
        cause = cause.exceptions[0]
    if isinstance(cause, RpcError):
        return cause
    if isinstance(cause, trio.TooSlowError):
        return RequestTimedOut()
    return _internal(error, method)


def _internal(error: Exception, method: str) -> InternalError:
    report = InternalError(secrets.token_hex(4))
    log.error("rpc.internal_error", report=report.report_id, method=method, exc_info=error)
    return report
