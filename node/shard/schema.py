"""The keys of the shard chain in the node's one database.

n/ hash                 trie nodes and code (shared with the beacon state)
s/g                     genesis header
s/h                     head height
s/b/ height8            block
s/n/ height8            header
s/c/ height8            certificate
s/q/ height8            requests
s/r/ height8            receipts
s/x/ hash               height8
s/t/ tx hash            height8 index4
s/o/ dst4 seq8          height8 index4 message          (outbox)
s/i/ src4 seq8          height8 index4                  (where an arrival was delivered)
s/m/ message id         src4 dst4 seq8
"""

NODE = b"n/"
GENESIS = b"s/g"
HEAD = b"s/h"


def block(height: int) -> bytes:
    return b"s/b/" + height.to_bytes(8, "big")


def header(height: int) -> bytes:
    return b"s/n/" + height.to_bytes(8, "big")


def certificate(height: int) -> bytes:
    return b"s/c/" + height.to_bytes(8, "big")


def requests(height: int) -> bytes:
    return b"s/q/" + height.to_bytes(8, "big")


def receipts(height: int) -> bytes:
    return b"s/r/" + height.to_bytes(8, "big")


def by_hash(block_hash: bytes) -> bytes:
    return b"s/x/" + block_hash


def transaction(tx_hash: bytes) -> bytes:
    return b"s/t/" + tx_hash


def outbox(dst: int, seq: int) -> bytes:
    return b"s/o/" + dst.to_bytes(4, "big") + seq.to_bytes(8, "big")


def inbox(src: int, seq: int) -> bytes:
    return b"s/i/" + src.to_bytes(4, "big") + seq.to_bytes(8, "big")


def message(message_id: bytes) -> bytes:
    return b"s/m/" + message_id


def place(height: int, index: int) -> bytes:
    return height.to_bytes(8, "big") + index.to_bytes(4, "big")


def read_place(raw: bytes) -> tuple[int, int]:
    return int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:12], "big")
