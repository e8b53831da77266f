"""Atoll's peer-to-peer layer: bytes between the known nodes of one network.

Persistent direct frame streams and request/response over libp2p (TCP, Noise, Yamux). Start at
`p2p.peer_network.PeerNetwork`; values are in `p2p.types`, exceptions in `p2p.errors`.
"""
