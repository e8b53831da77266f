"""The parts of the network layer without sockets: framing, queues, pacing, identities, values."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.config.keyfile import save_identity
from p2p.errors import IdentityError, LinkLost, Misuse, ProtocolViolation, RequestError
from p2p.framing import FrameDecoder, frame_header
from p2p.identity import Identity
from p2p.outbox import Outbox
from p2p.pacing import TokenBucket, backoff_delay
from p2p.types import ChannelSpec, MethodSpec, NetworkLimits, Overflow, PeerId, split_address


def channel(
    channel_id: int = 1, priority: int = 0, overflow: Overflow = Overflow.DROP_OLDEST
) -> ChannelSpec:
    return ChannelSpec(
        id=channel_id,
        priority=priority,
        max_frame=100,
        queue_frames=3,
        queue_bytes=200,
        overflow=overflow,
    )


def decode(data: bytes) -> list[tuple[int, bytes]]:
    return FrameDecoder(dict.fromkeys(range(256), 1000)).feed(data)


@given(
    st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=20),
    st.lists(st.integers(1, 400), max_size=30),
)
def test_frames_survive_any_cut_of_the_stream(
    frames: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    data = b"".join(frame_header(kind, len(payload)) + payload for kind, payload in frames)
    decoder = FrameDecoder(dict.fromkeys(range(256), 300))
    got: list[tuple[int, bytes]] = []
    for size in [*cuts, len(data)]:
        got += decoder.feed(data[:size])
        data = data[size:]
    assert got == frames


def test_the_decoder_takes_any_bytes_or_says_violation() -> None:
    limits = {1: 100, 2: 10}
    frames = st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=120)), max_size=3).map(
        lambda made: b"".join(frame_header(kind, len(body)) + body for kind, body in made)
    )
    taken: Counter[int] = Counter()

    @settings(max_examples=100)  # all of them, always: what they have taken is looked at below
    @given(frames, st.binary(max_size=2000))
    def check(begin: bytes, noise: bytes) -> None:
        decoder = FrameDecoder(limits)
        for data in (begin, noise):
            try:
                for kind, payload in decoder.feed(data):
                    assert len(payload) <= limits[kind]
                    taken[kind] += 1
            except ProtocolViolation:
                return

    check()
    assert set(taken) == set(limits)


def test_oversized_and_unknown_frames_are_violations_before_their_payload_arrives() -> None:
    with pytest.raises(ProtocolViolation, match="101 bytes, at most 100"):
        FrameDecoder({1: 100}).feed(frame_header(1, 101))
    with pytest.raises(ProtocolViolation, match="unknown kind 2"):
        FrameDecoder({1: 100}).feed(frame_header(2, 0))


def test_outbox_takes_by_priority_then_in_order_and_control_first() -> None:
    outbox = Outbox([channel(1, priority=5), channel(2, priority=0)])
    outbox.put(1, b"late")
    outbox.put(2, b"first")
    outbox.put(2, b"second")
    outbox.put_control(0, b"ping")
    outbox.put_control(0, b"newer ping")
    assert outbox.queued_bytes == 15
    data, count = outbox.take(10_000)
    assert count == 4
    assert decode(data) == [(255, b"newer ping"), (2, b"first"), (2, b"second"), (1, b"late")]
    assert outbox.take(10_000) == (b"", 0)
    assert outbox.queued_bytes == 0


def test_outbox_fills_a_write_but_not_beyond_unless_one_frame_is_larger() -> None:
    outbox = Outbox([channel()])
    outbox.put(1, bytes(90))
    outbox.put(1, bytes(90))
    data, count = outbox.take(100)
    assert (len(data), count) == (95, 1)
    data, count = outbox.take(10)
    assert (len(data), count) == (95, 1)


def test_drop_oldest_makes_room_by_count_and_by_bytes() -> None:
    outbox = Outbox([channel()])
    assert all(outbox.put(1, bytes([i])) for i in range(5))
    assert outbox.drops == 2
    assert outbox.put(1, bytes(100))
    assert outbox.put(1, bytes(100))
    assert outbox.drops == 5
    assert [len(payload) for _, payload in decode(outbox.take(1000)[0])] == [100, 100]


def test_drop_newest_refuses_and_disconnect_raises() -> None:
    outbox = Outbox([channel(1, 0, Overflow.DROP_NEWEST), channel(2, 0, Overflow.DISCONNECT)])
    assert [outbox.put(1, bytes([i])) for i in range(5)] == [True, True, True, False, False]
    assert outbox.drops == 2
    assert [payload[0] for _, payload in decode(outbox.take(1000)[0])] == [0, 1, 2]
    for i in range(3):
        outbox.put(2, bytes([i]))
    with pytest.raises(LinkLost, match="queue of channel 2 is full"):
        outbox.put(2, b"x")


def test_backoff_grows_to_its_bound_and_is_the_same_every_time() -> None:
    limits = NetworkLimits()
    a, b = PeerId("A"), PeerId("B")
    delays = [backoff_delay(attempt, a, b, limits) for attempt in range(40)]
    assert delays == [backoff_delay(attempt, a, b, limits) for attempt in range(40)]
    assert 0.05 <= delays[0] <= 0.1
    assert all(delay <= limits.backoff_max for delay in delays)
    assert all(delay >= limits.backoff_max / 2 for delay in delays[10:])
    assert len({backoff_delay(9, a, PeerId(str(i)), limits) for i in range(30)}) > 25


def test_token_bucket_lets_the_burst_pass_and_then_the_rate() -> None:
    bucket = TokenBucket(rate=10, burst=20, now=0)
    assert bucket.take(20, 0) == 0
    assert bucket.take(5, 0) == pytest.approx(0.5)
    assert bucket.take(0, 0.5) == 0
    assert bucket.take(20, 100) == 0


def test_identity_file_is_private_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    identity = Identity.generate()
    save_identity(path, identity)
    with pytest.raises(FileExistsError):
        save_identity(path, Identity.generate())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Identity.load(path).peer_id == identity.peer_id
    assert Identity(identity.to_bytes()).peer_id == identity.peer_id
    assert list(tmp_path.iterdir()) == [path]
    assert identity.to_bytes().hex() not in repr(identity)


def test_identity_of_a_seed_is_libp2ps() -> None:
    # the peer id of the Ed25519 seed 00 01 .. 1f, as libp2p derives it
    identity = Identity(bytes(range(32)))
    assert identity.peer_id == "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB"


def test_broken_identities_are_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(IdentityError):
        Identity(bytes(31))
    with pytest.raises(IdentityError, match="cannot read"):
        Identity.load(tmp_path / "missing")
    (tmp_path / "short").write_bytes(b"x")
    with pytest.raises(IdentityError, match="short is not an identity file"):
        Identity.load(tmp_path / "short")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("node-1:30303", ("node-1", 30303)),
        ("[::1]:5", ("::1", 5)),
    ],
)
def test_addresses(address: str, expected: tuple[str, int]) -> None:
    assert split_address(address) == expected


@pytest.mark.parametrize("address", ["", "host", "host:", ":80", "host:x", "host:70000", "::1:80"])
def test_bad_addresses(address: str) -> None:
    with pytest.raises(Misuse):
        split_address(address)


def test_contradictory_specs_are_refused() -> None:
    with pytest.raises(Misuse):
        channel(255)
    with pytest.raises(Misuse):
        ChannelSpec(
            id=1,
            priority=0,
            max_frame=100,
            queue_frames=1,
            queue_bytes=99,
            overflow=Overflow.DROP_OLDEST,
        )
    with pytest.raises(Misuse):
        MethodSpec(name="x" * 65, max_request=1, max_response=1, concurrency=1)
    with pytest.raises(Misuse):
        NetworkLimits(ping_interval=5, silence_timeout=5)
    with pytest.raises(ValueError, match="65280"):
        RequestError(0xFF00, "reserved")


def imported(environment: dict[str, str]) -> set[str]:
    code = "import sys, p2p.peer_network; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    )
    return set(done.stdout.split())


@pytest.mark.slow
def test_the_parts_of_libp2p_we_do_not_use_are_not_imported() -> None:
    light = imported({"ATOLL_LIBP2P_FULL_IMPORT": "0"})
    assert not light & {
        "aioquic",
        "zeroconf",
        "miniupnpc",
        "trio_websocket",
        "libp2p.network.swarm",
    }


@pytest.mark.slow
def test_the_full_import_still_works() -> None:
    assert "libp2p.network.swarm" in imported({"ATOLL_LIBP2P_FULL_IMPORT": "1"})
