#!/usr/bin/env python3
"""Write docs/rpc.md: every method, offered or refused, and what of the specification is absent.

    .venv/bin/python tools/rpc_table.py            write it
    .venv/bin/python tools/rpc_table.py --check    exit 1 if it is not up to date

`tools/openrpc_methods.txt` names the methods of ethereum/execution-apis; a test compares it with the
specification's archive.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from rpc.limits import SPAN, Limits  # noqa: E402
from rpc.methods import METHODS  # noqa: E402
from rpc.methods.refused import REFUSED  # noqa: E402
from rpc.methods.table import Method  # noqa: E402
from rpc.params import REQUIRED  # noqa: E402

PAGE = ROOT / "docs" / "rpc.md"
NAMES = Path(__file__).parent / "openrpc_methods.txt"
PREFIXES = ("eth_", "net_", "web3_", "txpool_", "debug_", "personal_", "atoll_")

INTRODUCTION = """\
# JSON-RPC

This page is written by `tools/rpc_table.py` from the tables of the code; a test keeps it up to date.

Every node serves the whole network at `/`, over HTTP (POST) and WebSocket on one port; `/shard/<id>` is one
shard's own chain. Answers follow the OpenRPC specification of ethereum/execution-apis and, where that leaves
room, go-ethereum. What differs:

- Every block is final: `latest`, `safe` and `finalized` are the same block. `pending` is the block after it,
  with what the pools hold; as in go-ethereum its hash and nonce are null. State at `pending` is that at
  `latest`, but the nonce of an account counts its pooled transactions.
- Prices at `/` are enough on every shard: the base fee of a block is that of the dearest shard. What is
  paid is the base fee where a transaction runs and its tip. Prices at `/shard/<id>` are that shard's alone
  ([protocol.md, section 12](protocol.md#12-the-network-view), "Prices").
- Of a block at `/`, `gasLimit` is that of one shard block, the most that a transaction can have, and `gasUsed`
  the sum over all shards. Its roots commit to the shards' blocks, not to what is listed; those of a block
  without transactions are Ethereum's. Contracts see the block of their shard: NUMBER, BLOCKHASH, COINBASE,
  GASLIMIT and BASEFEE are that block's, as at `/shard/<id>`
  ([porting.md](porting.md#what-a-contract-sees-of-the-chain)).
- Bookkeeping of the protocol, births of contracts on another shard's range (`0x7e`) and development operations
  (`0x7c`), is listed at `/shard/<id>` only.
- What `MESSENGER.send` reverts with is told by name, with what to do ([messages.md](messages.md#errors)); the
  data of the error is what the contract returned.
- Messages between shards are listed as transactions of type `0x7d`, as deposits are on OP-stack chains; their
  nonce is 2^52 + their place on the lane, so that clients never take one for a transaction of the same sender.
- `eth_getProof` proves against the state root in the header of the account's shard, which `atoll_networkBlock`
  names; `/` has no state root of its own that covers accounts.
- An access list has no effect on another shard. For a call that crosses, `eth_createAccessList` names what is
  accessed there, and its `gasUsed` includes what the list would cost at home.
- `debug_trace*` runs the shard block again, on a node of that shard, up to the transaction. A transaction that
  came from another shard is traced where its call ran; `gas` and `gasUsed` of the outermost call are those of
  its receipt. Tracers: the struct logger, `callTracer`, `prestateTracer`, `4byteTracer`, `noopTracer`. The
  default timeout is 5 s, the longest 20 s, for everything that a request runs on one shard.
- `eth_simulateV1` simulates blocks of one shard: that of the first account it names. Numbers, times and the
  hash they begin with are that shard's, also at `/`. An account with a state override is taken to live
  there, and so are, at `/`, up to 100 accounts of other shards that calls name, with the balance and the
  nonce that they have: the gas of crossing is not counted. Those with code are refused unless it is
  overridden, for their storage stays where it is. Wei that a contract pays to another shard, itself or by
  `MESSENGER.send`, is gone from this one, as it would be on its way. All calls together may use 30,000,000
  gas and 15 s.
- On a network with `dev_methods` (what `atoll up` makes), `eth_sendRawTransaction`, `eth_sendTransaction` and
  `eth_sendUnsignedTransaction` answer when the receipt can be read, 0.5 s later at most (`rpc.send_wait` in a
  manifest or node.toml; elsewhere it is 0): ethers and viem look right after they have sent, and then only 4
  s later. A connection that sends one transaction after the other without a look at their receipts is held
  back for the first one only, a batch once for all that it sends.
- `eth_sendRawTransactionSync` (EIP-7966) waits for the receipt: 20 s, or as many milliseconds as it is told,
  25 s at most; then the error has the hash. A call that crosses has its receipt when it was delivered.
- A client that has seen a receipt at `/` of one node finds its effects at any other, at once. A call to an
  address without code, a refusal, "no code", an unknown block, a failed or empty `eth_call`, an estimate of a
  plain transfer and the nonce at `pending` wait until this node has all that any node can have shown: mostly
  nothing, with slow links a round trip, 4 s at most for a transaction (then -32002: send it again) and 1.5 s
  for others. Other questions are answered from what this node shows, which may be a block behind another: a
  receipt that is seen there can still be null here, a balance or a slot older ([protocol.md, section
  12](protocol.md#12-the-network-view), "Read your writes").
- `atoll_reason` tells why an included transaction failed, on whichever shard it ran: `error` in go-ethereum's
  words, `reason` for people (revert string, panic, custom error, gas), `data` as returned (4,096 bytes of
  it), `at` the account that failed, `path` the accounts whose code was called on the way there. It is null
  for a success.
- `eth_getLogs` refuses a range that ends beyond the head with -32602, as the specification has it.
- `eth_call` runs for 5 s at most, `eth_estimateGas` and `eth_createAccessList` for 15 s, each execution with
  30,000,000 gas at most, whatever the request says.
- `eth_call` at `/` reads accounts of every shard as on one chain, all at the block that is asked for:
  balances, code, slots, and calls of contracts there, so multicalls, routers' quotes, signature validators and
  calls without a recipient are right wherever the accounts live. NUMBER, BLOCKHASH and other facts of a block
  are those of the shard that runs it: that of the recipient, for a call without one that of the sender, for
  Multicall3 without `from` that of the node. The call is run again with what it wanted of other shards until
  nothing is missing, within the limits below; a shard that does not answer is an error that names it. Code of
  another shard that would change its account fails with `0x... lives on shard 1; reach it with
  MESSENGER.send`, as would a transaction; so does a call that brings it wei. Estimates, access lists and
  traces of calls are about transactions and read their own shard alone
  ([protocol.md, section 12](protocol.md#12-the-network-view)).
- `debug_getRaw*` gives a block as its chain encodes it: a beacon block at `/`, a shard block below `/shard/`.
- `anvil_`, `hardhat_` and `evm_` methods change the chain, on a network with `dev_methods` only (what `atoll
  up` makes): [protocol.md, section 18](protocol.md#18-development-methods). They return when a block has the
  change.
- `atoll_setFaults`, `atoll_faults` and `atoll_submitEvidence` exist on such a network only, and only where the
  endpoint listens on a loopback address: [faults.md](faults.md).
- `evm_snapshot` and `evm_revert` are about the whole network, through any node: pools are emptied, clocks go
  back, and what was signed can be sent again. Connections, filters and subscriptions stay; blocks that come
  again are told again. Calls that are under way while the network goes back are answered by what it is then.
  `hardhat_reset` and `anvil_reset` take it back to its genesis, and fork no other chain.
- Tools that work with development methods of some programs only, such as hardhat-network-helpers, ask for the
  name in `web3_clientVersion`: `rpc.compat` in a manifest or node.toml, or `atoll up --compat`, is "hardhat" or
  "anvil" and puts it first: `HardhatNetwork/atoll/...`. Nothing else depends on it.
- Legacy transactions without a chain id are taken on a network with `dev_methods`: presigned ones, as those
  that deploy a contract at one address on all chains. Their sender is an account without a key; it has to be
  paid first.
- Filters live on the node and the path where they were made. One that is not polled for {expiry:g} s is gone.
- `eth_accounts` and signing use the development accounts of `accounts.json` and are on unless
  `rpc.expose_accounts` is false.

Subscriptions beyond those of geth: `atoll_messages` pushes what happens to messages between shards (`sent`,
`finalised`, `delivered`, each once and in this order for one message); its filter may have `id`, `address`
(from or to), `shard` (source or destination) and `events`, each a value or an array. `atoll_blocks` pushes
what `atoll_networkBlock` says of each new block, `atoll_shardBlocks` what `atoll_shardBlock` says of each block
that a shard has decided. [following.md](following.md) describes these and what `atoll_message`, `atoll_trace`,
`atoll_lanes` and `atoll_votes` answer.

A browser that opens `/` is sent to the [dashboard](dashboard.md) at `/dashboard`.

## Web pages

Whatever a page in a browser sends says where the page comes from (the Origin header, of HTTP and of WebSocket).
What each client may do:

| client | reads, submits what is signed | signs with the node's keys, development methods | faults |
|---|---|---|---|
| a program; a page of this machine; the dashboard | yes | yes | yes |
| a page whose origin is named | yes | yes | no |
| any other page, where the origins hold `"*"` | yes | no | no |
| any other page | no | no | no |

Pages of this machine come from `localhost`, `127.0.0.1` or `[::1]`, at any port. Others are named with
`atoll up --cors-origin https://app.example` (several times if need be) for a new network, or in
`rpc.cors_origins` of a manifest or of a `node.toml`. A named page may also reach a node of this machine from
a public address (`Access-Control-Allow-Private-Network`); others may not, whatever the origins are. A page of a
file (`Origin: null`) counts as any other. The Host header has to be a name of this machine or one of
`rpc.allowed_hosts`, so that no page reaches the node under a name of its own. Where `"*"` allows any, the
dashboard is to be opened under an address, or a name that is given as well.

## Errors

| code | meaning |
|---|---|
| -32700 | the body is not JSON |
| -32600 | not a JSON-RPC 2.0 request; an empty or too large batch |
| -32601 | there is no such method; a subscription over HTTP |
| -32602 | an argument is missing or malformed; the message says which |
| -32603 | a bug of ours; the message has the id of the report in the node's log |
| -32000 | refused, in go-ethereum's words: `nonce too low`, `insufficient funds for gas * price + value`, ... |
| -32001 | what the request names does not exist |
| -32002 | it exists and cannot be served now: a shard is away, or the time was up |
| -32003 | the answers of a batch are too large |
| -32004 | known and refused; the message says why |
| -32005 | more than this node gives: range, results, filters, subscriptions |
| 4 | `eth_sendRawTransactionSync`: sent, but in no block in time; `data` is the hash |
| 3 | execution reverted; `data` is what the contract returned |
| -38010 to -38026, -32016 | `eth_simulateV1`, as the specification says |

A WebSocket that does not read its notifications, or whose message takes too long to arrive, is closed with
code 1008; one that has too much in memory while others need it with 1013, and HTTP answers 503 then. Where
there are too many filters, a new one takes the place of one of the client that has most: the one that was
polled never or longest ago.

Where there are as many connections as there may be, a new one takes the place of one that waits for its
client: for the rest of a request first, then for another request, at last for an answer to be read; of these
that which has waited longest. It is told so (503 in the middle of a request, 1013 on a WebSocket). Connections
that are being answered and WebSockets with subscriptions stay; where there are no others, the new one is
answered 503.

## Limits

| | |
|---|---|
"""

LIMITS = (
    ("body_size", "bytes of a body or message"),
    ("header_size", "bytes of an HTTP request's headers"),
    ("batch_size", "requests in a batch"),
    ("batch_response_size", "bytes of the answers to a batch"),
    ("connections", "connections"),
    ("websocket_concurrency", "messages of a WebSocket worked on at once"),
    ("subscriptions", "subscriptions of a WebSocket"),
    ("subscribers", "WebSockets with subscriptions"),
    ("subscriptions_of_all", "subscriptions of all WebSockets"),
    ("notifications", "notifications that wait to be read"),
    ("notification_size", "bytes of these"),
    ("buffered", "bytes that all connections hold together of what arrives or waits to be read"),
    ("buffered_free", "bytes of each that do not count there"),
    ("filters", "filters"),
    ("filters_of_one", "filters that one connection has made"),
    ("filter_expiry", "seconds until an unused filter expires"),
    ("request_timeout", "seconds for a request or batch"),
    ("write_timeout", "seconds for a client to read its answer"),
    ("read_timeout", "seconds for a request or message to arrive"),
    ("idle_timeout", "seconds an HTTP connection may be idle"),
)


SPAN_LIMITS = (
    ("rounds", "runs until all that it reads of other shards is there"),
    ("accounts", "accounts of other shards"),
    ("slots", "storage slots of these"),
    ("code_size", "bytes of their codes, each once"),
    ("proof_size", "bytes of the proofs and codes of one shard in one run"),
    ("seconds", "seconds for all runs, if it reads other shards"),
)


def specified() -> list[str]:
    """The methods of the specification."""
    return NAMES.read_text().split()


def page() -> str:
    limits = Limits()
    names = specified()
    lines = [INTRODUCTION.format(expiry=limits.filter_expiry).rstrip("\n")]
    lines += [f"| {what} | {_number(getattr(limits, name))} |" for name, what in LIMITS]
    lines += [
        f"| `eth_call`: {what} | {_number(getattr(SPAN, name))} |" for name, what in SPAN_LIMITS
    ]
    absent = sorted(set(names) - set(METHODS) - set(REFUSED))
    covered = len(set(names) & set(METHODS))
    lines += [
        "",
        "## Methods",
        "",
        f"{len(METHODS)} methods are offered, {covered} of them of the {len(names)} in the specification "
        "(marked *); parameters in brackets may be left out. A call may take so many seconds; what it "
        "executes has the shorter limits above.",
        "",
        "| method | parameters | seconds |",
        "|---|---|---|",
    ]
    for name, method in sorted(METHODS.items(), key=lambda item: _order(item[0])):
        lines.append(
            f"| `{name}`{' *' if name in names else ''} | {_parameters(method)} | {_seconds(method, limits)} |"
        )
    lines += ["", "## Refused", "", "Answered with -32004 and the reason.", ""]
    by_reason: dict[str, list[str]] = {}
    for name, why in REFUSED.items():
        by_reason.setdefault(why, []).append(name)
    lines += ["| methods | reason |", "|---|---|"]
    for why, refused in by_reason.items():
        marked = (f"`{name}`{' *' if name in names else ''}" for name in sorted(refused))
        lines.append(f"| {', '.join(marked)} | {why} |")
    lines += ["", "## Absent", ""]
    lines.append(
        f"Of the specification: {', '.join(f'`{name}`' for name in absent)}."
        if absent
        else "Nothing of the specification."
    )
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _order(name: str) -> tuple[int, str]:
    return next((i for i, p in enumerate(PREFIXES) if name.startswith(p)), len(PREFIXES)), name


def _parameters(method: Method) -> str:
    parts = [p.name if p.default is REQUIRED else f"[{p.name}]" for p in method.params]
    return ", ".join(parts)


def _seconds(method: Method, limits: Limits) -> str:
    return f"{min(method.patience.method, limits.request_timeout):g}"


def main() -> int:
    text = page()
    if "--check" in sys.argv[1:]:
        if not PAGE.exists() or PAGE.read_text() != text:
            sys.stderr.write(f"{PAGE} is not up to date: run tools/rpc_table.py\n")
            return 1
        return 0
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
