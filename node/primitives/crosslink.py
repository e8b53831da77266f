"""A crosslink: the part of one shard block that a beacon block includes (docs/protocol.md, "Beacon chain").

    rlp([shard, header, [request, ...], certificate])

The header is the RLP list that the shard hashes, the requests and the certificate (the consensus codec's bytes)
are strings. Decoding checks the form only; the rules are in node.beacon.transition.
"""

from dataclasses import dataclass
from functools import cached_property

from consensus.codec import decode_certificate, encode_certificate
from consensus.types import Certificate
from node.primitives import rlp
from node.primitives.basics import ShardId
from node.primitives.decoding import decoder, decoding
from node.primitives.errors import DecodeError
from node.primitives.header import Header
from node.primitives.requests import ShardRequests

MAX_CROSSLINK_BYTES = 448 * 1024
"""Room for requests and a certificate at their limits. A block that its shard could decide but the beacon could
never include would stop the shard for good. Usual crosslinks are about 1 KiB.
"""


@dataclass(frozen=True, kw_only=True)
class Crosslink:
    """A decided shard header, its requests to the beacon, and the certificate that proves the decision."""

    shard: ShardId
    header: Header
    requests: ShardRequests
    certificate: Certificate

    @property
    def height(self) -> int:
        """The shard height."""
        return self.header.number

    @cached_property
    def encoded(self) -> bytes:
        requests = [rlp.encode_bytes(request) for request in self.requests.encoded]
        return rlp.encode_list(
            rlp.encode_int(self.shard)
            + self.header.encoded
            + rlp.encode_list(b"".join(requests))
            + rlp.encode_bytes(encode_certificate(self.certificate))
        )

    @classmethod
    @decoder("crosslink")
    def from_items(cls, decoded: rlp.Decoded) -> "Crosslink":
        """From the decoded RLP list. Raises DecodeError."""
        shard, header, requests, certificate = rlp.as_list(decoded, 4)
        with decoding("crosslink: certificate"):
            decided = decode_certificate(rlp.as_bytes(certificate))
        return cls(
            shard=ShardId(rlp.as_int(shard, 16)),
            header=Header.from_items(header),
            requests=ShardRequests.decode([rlp.as_bytes(r) for r in rlp.as_list(requests)]),
            certificate=decided,
        )

    @classmethod
    @decoder("crosslink")
    def decode(cls, data: bytes) -> "Crosslink":
        """Raises DecodeError for anything but the encoding of a crosslink within the size limit."""
        if len(data) > MAX_CROSSLINK_BYTES:
            raise DecodeError(f"crosslink: {len(data)} bytes, at most {MAX_CROSSLINK_BYTES}")
        return cls.from_items(rlp.decode(data))
