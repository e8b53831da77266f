"""libp2p's modules, imported without what we never use. Only `compat` and `yamux` import from here."""

from __future__ import annotations

import os
import sys
import types
from importlib import machinery, metadata
from typing import Any

PATCHED_VERSION = "0.8.1"
VERSION = metadata.version("libp2p")
FULL_IMPORT_VARIABLE = "ATOLL_LIBP2P_FULL_IMPORT"


def _import_shells() -> None:
    """Stand in for package initialisers that import what we never use.

    libp2p/__init__ and others pull in QUIC, WebSocket, TLS certificates, mDNS, UPnP and every
    peer store: 33 MB and 0.4 s for each of our processes. A module object with the right
    `__path__` lets the submodules below import as they are. Set the variable to import it all
    (needed by a process that also wants `libp2p.new_host`).
    """
    if VERSION != PATCHED_VERSION or os.environ.get(FULL_IMPORT_VARIABLE) == "1":
        return
    if "libp2p" in sys.modules:
        return

    def missing(name: str) -> Any:
        raise AttributeError(f"libp2p is imported in part; set {FULL_IMPORT_VARIABLE}=1 ({name})")

    for name in (
        "libp2p",
        "libp2p.network",
        "libp2p.transport",
        "libp2p.transport.quic",
        "libp2p.identity",
        "libp2p.identity.identify",
    ):
        parent = sys.modules.get(name.rpartition(".")[0])
        spec = machinery.PathFinder.find_spec(name, parent.__path__ if parent else None)
        if spec is None or spec.submodule_search_locations is None:
            return
        shell = types.ModuleType(name)
        shell.__path__ = list(spec.submodule_search_locations)
        shell.__spec__ = spec
        sys.modules[name] = shell
    sys.modules["libp2p"].__getattr__ = missing  # type: ignore[method-assign]
    # custom_types names this class in an annotation only.
    stream_module = types.ModuleType("libp2p.transport.quic.stream")
    stream_module.QUICStream = object  # type: ignore[attr-defined]
    sys.modules[stream_module.__name__] = stream_module


_import_shells()

# mypy: implicit-reexport
# ruff: noqa: E402, F401 - the imports below depend on the shells above, and are for `compat` and `yamux`
from libp2p.crypto.ed25519 import create_new_key_pair as new_ed25519_pair
from libp2p.crypto.x25519 import create_new_key_pair as new_x25519_pair
from libp2p.exceptions import BaseLibp2pError
from libp2p.identity.identify.pb.identify_pb2 import Identify
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.io.trio import TrioTCPStream
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.id import ID
from libp2p.protocol_muxer.exceptions import (
    MultiselectCommunicatorError,
    ProtocolNotSupportedError,
)
from libp2p.protocol_muxer.multiselect import Multiselect
from libp2p.protocol_muxer.multiselect_client import MultiselectClient
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE_ID
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.exceptions import MuxedStreamEOF, MuxedStreamError, MuxedStreamReset
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX_ID
from libp2p.stream_muxer.yamux.yamux import Yamux, YamuxStream
from libp2p.utils.varint import encode_delim, encode_varint_prefixed
from multiaddr import Multiaddr
