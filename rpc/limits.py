"""The limits of one endpoint for its clients."""

from dataclasses import dataclass

from rpc.times import EXECUTE, SEARCH

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanLimits:
    """Limits of one call that reads accounts of other shards than the one that runs it."""

    rounds: int = 32
    """Runs of the call, each with all that those before it wanted."""
    accounts: int = 1024
    """Accounts of other shards."""
    slots: int = 4096
    """Storage slots of these."""
    code_size: int = 512 * KIB
    """Bytes of their codes, each once."""
    proof_size: int = 4 * MIB
    """Bytes of one shard's proofs and codes in one round."""
    seconds: float = SEARCH
    """All rounds together."""


SPAN = SpanLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes, times in seconds. The defaults are geth's where geth has them."""

    body_size: int = 5 * MIB
    """Largest HTTP body and WebSocket message."""
    header_size: int = 16 * KIB
    """Request line, headers and trailers together."""
    batch_size: int = 1000
    """Requests in one batch."""
    batch_response_size: int = 25 * MIB
    """Answers of one batch together."""
    connections: int = 512
    """Connections at once. One more takes the place of one that waits for its client (`rpc.places`); if none
    does, it is answered 503."""
    websocket_concurrency: int = 16
    """Messages of one WebSocket that are worked on at once; further ones wait unread."""
    notifications: int = 10_000
    """Notifications of one WebSocket that wait to be read; a client further behind is dropped (1008)."""
    notification_size: int = 16 * MIB
    """The same in bytes."""
    subscriptions: int = 128
    """Subscriptions of one WebSocket."""
    subscribers: int = 384
    """WebSockets with subscriptions. Those keep their places, and leave the rest to others."""
    subscriptions_of_all: int = 4096
    """Subscriptions of all WebSockets."""
    filters: int = 4096
    """Filters of the endpoint. Where there are as many, a new one takes the place of one that is used less."""
    filters_of_one: int = 1024
    """Filters that one connection has made."""
    buffered: int = 256 * MIB
    """Bytes that all connections hold together: messages that arrive or are worked on, and answers and
    notifications that wait to be read.
    """
    buffered_free: int = 64 * KIB
    """Of what each holds, so much does not count."""
    filter_expiry: float = 300.0
    """A filter that is not polled for so long is gone."""
    idle_timeout: float = 120.0
    """A kept-alive HTTP connection without a request."""
    read_timeout: float = 30.0
    """From the first byte of an HTTP request or WebSocket message to its last: what a slow client gets."""
    request_timeout: float = EXECUTE.method
    """Work on one request or one batch."""
    send_wait: float = 0.0
    """The longest that the answer to a sent transaction is held back until a block has it (`rpc.inclusion`)."""
    write_timeout: float = 30.0
    """A client that does not read its answer."""
    ping_interval: float = 30.0
    """Between WebSocket pings; a peer silent for two of them is gone."""
    shutdown_grace: float = 3.0
    """Seconds for requests under way to finish when the server stops."""
