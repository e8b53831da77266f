"""The genesis of a network: the values that every node must agree on before the first block.

It is one JSON file, the same for all nodes. Its hash names the network: nodes with another genesis cannot talk,
and a data directory of another genesis is refused.
"""

import re
from pathlib import Path

import msgspec

from node.primitives.basics import Address, Hash32, ShardId, keccak256
from node.primitives.decoding import decoder
from node.primitives.errors import UserError
from node.primitives.files import read_file
from node.primitives.placement import home_by_range

FORMAT_VERSION = 4
MAX_SHARDS = 1024
MAX_CODE_BYTES = 24_576  # EIP-170
MAX_GENESIS_BYTES = 64 << 20
MAX_LANE_WINDOW = (1 << 24) - 1
MAX_LANE_GAS = (1 << 56) - 1
"""The largest amount of gas that MESSENGER can count in a sender's share."""


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules that are numbers, and one switch. Times in seconds, gas in units, prices in wei.

    `dev_methods`: if true, every client of an endpoint may change accounts (docs/protocol.md, section 18), and
    clients on the machine of the node may cause faults (docs/faults.md).
    """

    gas_limit: int = 30_000_000
    message_gas_limit: int = 500_000
    base_fee: int = 1_000_000_000
    min_block_interval: float = 0.05
    heartbeat: float = 3.0
    timeout_scale: float = 1.0
    max_arrivals: int = 1000
    lane_window: int = 4096
    lane_gas_window: int = 600_000_000
    max_uncrosslinked: int = 64
    max_crosslinks: int = 32
    dev_methods: bool = False

    @property
    def arrivals_gas(self) -> int:
        """At most half of a block's gas goes to arrivals."""
        return self.gas_limit // 2

    def check(self) -> None:
        """Raise UserError, naming the parameter, if a value makes no sense."""
        for name, value in msgspec.structs.asdict(self).items():
            if isinstance(value, bool):
                continue
            may_be_zero = name in ("base_fee", "min_block_interval", "max_arrivals")
            if (value == 0 and may_be_zero) or 0 < value < 1 << 64:
                continue
            least = "at least" if may_be_zero else "above"
            raise UserError(f"genesis: params.{name} must be {least} 0 and below 2^64, not {value}")
        for name, most in (("lane_window", MAX_LANE_WINDOW), ("lane_gas_window", MAX_LANE_GAS)):
            if getattr(self, name) > most:
                raise UserError(
                    f"genesis: params.{name} must be at most {most}, not {getattr(self, name)}"
                )
        if self.message_gas_limit > self.arrivals_gas:
            raise UserError(
                "genesis: params.message_gas_limit must be at most half of params.gas_limit, the share of a "
                f"block that arrivals have; {self.message_gas_limit} is above {self.arrivals_gas}"
            )
        if self.lane_gas_window < 2 * self.message_gas_limit:
            raise UserError(
                "genesis: params.lane_gas_window must be at least twice params.message_gas_limit, so that "
                "every message and its reply have room in an empty lane; "
                f"{self.lane_gas_window} is below {2 * self.message_gas_limit}"
            )


class GenesisValidator(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One validator: its consensus address, its libp2p id, the shard it serves and its stake in wei."""

    name: str
    address: str
    peer_id: str
    shard: int
    stake: int
    beacon: bool = False


class GenesisContract(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account that begins with more than wei: code and storage as hex digits with 0x, slots and values as
    numbers of up to 32 bytes.
    """

    code: str = "0x"
    nonce: int = 1
    storage: dict[str, str] = {}

    def check(self, where: str) -> None:
        """Raise UserError, naming the account, for what no account can have."""
        if len(self.code_bytes(where)) > MAX_CODE_BYTES:
            raise UserError(f"{where}: code has at most {MAX_CODE_BYTES} bytes (EIP-170)")
        if not 0 <= self.nonce < 1 << 63:
            raise UserError(f"{where}: nonce must be 0 to 2^63 - 1, not {self.nonce}")
        if self.storage and not (self.code_bytes(where) or self.nonce):
            raise UserError(f"{where}: storage needs code or a nonce")
        if len(self.words(where)) != len(self.storage):
            raise UserError(f"{where}: a slot of storage is there twice")

    def code_bytes(self, where: str = "") -> bytes:
        """The code. Raises UserError."""
        try:
            if self.code.startswith("0x"):
                return bytes.fromhex(self.code[2:])
        except ValueError:
            pass
        raise UserError(f"{where}: code must be 0x and an even number of hex digits")

    def words(self, where: str = "") -> dict[int, int]:
        """Slots and their values. Raises UserError."""
        return {_word(slot, where): _word(value, where) for slot, value in self.storage.items()}


def _word(text: str, where: str) -> int:
    if re.fullmatch(r"0x[0-9a-fA-F]{1,64}", text):
        return int(text, 16)
    raise UserError(f"{where}: {text[:80]!r} of its storage is not 0x and at most 64 hex digits")


class _VersionedGenesis(msgspec.Struct):
    """The fields that every version of the file begins with."""

    version: int


def _check_version(version: int) -> None:
    if version != FORMAT_VERSION:
        raise UserError(
            f"genesis: version {version} is not {FORMAT_VERSION}, which this version of atoll has: make the "
            "network anew (`atoll up --reset`), or run it with the version of atoll that made it"
        )


class Genesis(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file. `alloc` maps addresses to balances in wei, `contracts` those that begin with more."""

    version: int = FORMAT_VERSION
    chain_id: int
    timestamp: int
    shards: int
    validators: list[GenesisValidator]
    alloc: dict[str, int]
    params: Params = Params()
    contracts: dict[str, GenesisContract] = {}

    @property
    def hash(self) -> Hash32:
        """keccak256 of the canonical JSON: fields as declared here, `alloc` sorted, no white space."""
        return keccak256(msgspec.json.encode(self, order="deterministic"))

    def committee(self, shard: int) -> list[GenesisValidator]:
        return [v for v in self.validators if v.shard == shard]

    def beacon_committee(self) -> list[GenesisValidator]:
        return [v for v in self.validators if v.beacon]

    def balances(self) -> dict[Address, int]:
        return {Address(parse_address(a)): wei for a, wei in self.alloc.items()}

    def accounts(self) -> dict[Address, GenesisContract]:
        """The accounts that begin with code, nonce or storage."""
        return {Address(parse_address(a)): contract for a, contract in self.contracts.items()}

    def supplies(self) -> list[int]:
        """The initial supply of each shard, in wei."""
        wei = [0] * self.shards
        for address, balance in self.balances().items():
            wei[home_by_range(address, self.shards)] += balance
        return wei

    def shard_ids(self) -> range:
        return range(self.shards)

    def check(self) -> "Genesis":
        """Raise UserError, naming the field, if the file cannot be a genesis."""
        _check_version(self.version)
        if not 1 <= self.shards <= MAX_SHARDS:
            raise UserError(f"genesis: shards must be 1 to {MAX_SHARDS}, not {self.shards}")
        if not 1 <= self.chain_id < 1 << 53:
            raise UserError(f"genesis: chain_id must be 1 to 2^53 - 1, not {self.chain_id}")
        if not 0 <= self.timestamp < 1 << 64:
            raise UserError(f"genesis: timestamp must be 0 to 2^64 - 1, not {self.timestamp}")
        self.params.check()
        for shard in self.shard_ids():
            if not self.committee(shard):
                raise UserError(f"genesis: shard {shard} has no validator")
        if not self.beacon_committee():
            raise UserError("genesis: no validator has beacon = true")
        seen: set[str] = set()
        for validator in self.validators:
            if validator.shard not in self.shard_ids():
                raise UserError(f"genesis: {validator.name}: there is no shard {validator.shard}")
            if validator.stake <= 0:
                raise UserError(f"genesis: {validator.name}: the stake must be positive")
            home = home_by_range(parse_address(validator.address), self.shards)
            if home != validator.shard:
                raise UserError(
                    f"genesis: {validator.name}: its address {validator.address} is at home on shard "
                    f"{home}; a validator's fees need an address that is at home on its shard, "
                    f"{validator.shard} (`atoll init` draws such keys)"
                )
            for key in (validator.name, validator.address.lower(), validator.peer_id):
                if key in seen:
                    raise UserError(f"genesis: {key} appears twice among the validators")
                seen.add(key)
        funded: set[bytes] = set()
        for address, wei in self.alloc.items():
            raw = parse_address(address)
            if raw in funded:
                raise UserError(f"genesis: alloc names {address} twice, in different letter case")
            funded.add(raw)
            if not 0 <= wei < 1 << 128:
                raise UserError(f"genesis: alloc of {address} must be 0 to 2^128 - 1 wei")
        for address, contract in self.contracts.items():
            contract.check(f"genesis: contracts: {address}")
        if len(self.accounts()) != len(self.contracts):
            raise UserError("genesis: contracts names an address twice, in different letter case")
        return self


def parse_address(text: str) -> bytes:
    """Parse an address: 20 bytes from 0x-prefixed hex. Raises UserError."""
    try:
        raw = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raw = b""
    # the length of the text counts too: fromhex() skips white space
    if not text.startswith("0x") or len(raw) != 20 or len(text) != 42:
        raise UserError(f"{text!r} is not an address: 0x and 40 hex digits are expected")
    return raw


def shard_tag(shard: int) -> bytes:
    """The consensus chain tag of a shard."""
    return b"shard/%d" % ShardId(shard)


BEACON_TAG = b"beacon"


def load_genesis(path: Path) -> Genesis:
    """Read and check a genesis file. Raises UserError with the path and the reason."""
    content = read_file(path, what="a genesis", limit=MAX_GENESIS_BYTES)
    try:
        return decode_genesis(content)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


@decoder("not a genesis file", UserError)
def decode_genesis(content: bytes) -> Genesis:
    """Decode the JSON of a genesis file. Raises UserError with the reason.

    The version is checked first, because a file of another version may differ in everything else.
    """
    _check_version(msgspec.json.decode(content, type=_VersionedGenesis).version)
    return msgspec.json.decode(content, type=Genesis).check()


def encode_genesis(genesis: Genesis) -> bytes:
    """The content of a genesis file."""
    return msgspec.json.format(msgspec.json.encode(genesis), indent=2) + b"\n"
