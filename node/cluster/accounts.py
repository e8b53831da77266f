"""The development accounts of a new network: known keys, all funded."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.primitives.basics import ShardId
from node.primitives.errors import UserError
from node.primitives.placement import home_by_range

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

MNEMONIC = "test test test test test test test test test test test junk"
PATH = "m/44'/60'/0'/0/{index}"
MAX_ACCOUNTS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DevAccount:
    """`address` in EIP-55 case, `private_key` as 0x and 64 digits, `home` the shard it lives on."""

    address: str
    private_key: str
    home: ShardId

    @property
    def signer(self) -> "LocalAccount":
        """The account as eth_account has it, to sign with."""
        from eth_account import Account

        account: LocalAccount = Account.from_key(self.private_key)
        return account


def derive_accounts(
    shards: int, *, count: int = 10, per_shard: int = 3, mnemonic: str = MNEMONIC
) -> list[DevAccount]:
    """The first `count` accounts, and more until every shard is home to `per_shard` of them.

    Raises UserError for a mnemonic that is none, or if that takes over 20,000 accounts.
    """
    # Half a second to import, and needed only when a network is made.
    from eth_account import Account
    from eth_account.hdaccount import key_from_seed, seed_from_mnemonic
    from eth_utils.exceptions import ValidationError

    try:
        seed = seed_from_mnemonic(mnemonic, "")
    except ValidationError:
        raise UserError("key 'accounts.mnemonic': not a BIP-39 mnemonic; check the words") from None
    accounts: list[DevAccount] = []
    missing = {ShardId(shard): per_shard for shard in range(shards)} if per_shard else {}
    while len(accounts) < count or missing:
        if len(accounts) >= MAX_ACCOUNTS:
            raise UserError(
                f"key 'accounts': {MAX_ACCOUNTS} accounts do not give {per_shard} to each of {shards} "
                "shards; ask for fewer"
            )
        secret = key_from_seed(seed, PATH.format(index=len(accounts)))
        address = Account.from_key(secret).address
        home = home_by_range(bytes.fromhex(address[2:]), shards)
        accounts.append(DevAccount(address=address, private_key=f"0x{secret.hex()}", home=home))
        if home in missing:
            missing[home] -= 1
            if not missing[home]:
                del missing[home]
    return accounts
