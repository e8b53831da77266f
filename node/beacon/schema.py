"""The keys of the beacon chain in the key-value store. Integers are big endian, 8 bytes.

b/head                       height of the newest committed block
b/b/<height>                 block
b/c/<height>                 certificate (none for the genesis)
b/h/<hash>                   height of that block
b/x/<shard, 2><height>       height of the beacon block that crosslinked that shard block
b/i/<height>                 births in that block, only where there are some: rlp [[address, shard], ...]
b/e/<height>                 present if that block holds evidence
b/r/<era>                    how that era began: rlp [era, block, certificate] (only where it still matters)
b/p                          the era whose beginning has not been carried out in full
n/<hash>                     trie node; shared with the shard chain, content addressed
"""

from node.primitives.basics import ShardId

HEAD = b"b/head"
BIRTHS_PREFIX = b"b/i/"
EVIDENCE_PREFIX = b"b/e/"
ERA_PREFIX = b"b/r/"
REWINDING = b"b/p"
NODE_PREFIX = b"n/"


def block_key(height: int) -> bytes:
    return b"b/b/" + encode_height(height)


def certificate_key(height: int) -> bytes:
    return b"b/c/" + encode_height(height)


def height_key(block_hash: bytes) -> bytes:
    return b"b/h/" + block_hash


def crosslink_key(shard: ShardId, shard_height: int) -> bytes:
    return b"b/x/" + shard.to_bytes(2, "big") + encode_height(shard_height)


def births_key(height: int) -> bytes:
    return BIRTHS_PREFIX + encode_height(height)


def evidence_key(height: int) -> bytes:
    return EVIDENCE_PREFIX + encode_height(height)


def era_key(era: int) -> bytes:
    return ERA_PREFIX + encode_height(era)


def node_key(node_hash: bytes) -> bytes:
    return NODE_PREFIX + node_hash


def encode_height(height: int) -> bytes:
    return height.to_bytes(8, "big")


def decode_height(raw: bytes) -> int:
    return int.from_bytes(raw, "big")
