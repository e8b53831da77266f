"""`atoll status --watch`: the latest `network_status`, as a picture that fits the terminal."""

import itertools
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from node.cluster.show.tables import STATE_STYLES, UNKNOWN
from node.terminal import legible

WINDOW_SECONDS = 10.0
"""Over which rates are taken."""
HISTORY = 120
BARS = " ▁▂▃▄▅▆▇█"
HEADER_ROWS = 1
TABLE_ROWS = 3
"""Of a table beside its own: the space before it, the names of the columns, and the line under them."""
FEW_LANES = 4
WIDE, MEDIUM = 100, 72


@dataclass(slots=True)
class _Counter:
    """A count that grows, as it was seen: (seconds, count), the newest last."""

    seen: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=HISTORY))

    def add(self, at: float, count: int | None) -> None:
        if count is not None:
            self.seen.append((at, count))

    def rate(self) -> float | None:
        """Per second, over the last `WINDOW_SECONDS`; None with less than two looks."""
        if len(self.seen) < 2:
            return None
        last_at, last = self.seen[-1]
        at, first = next(item for item in self.seen if last_at - item[0] <= WINDOW_SECONDS)
        if at == last_at:
            at, first = self.seen[-2]
        return max(0.0, (last - first) / (last_at - at))

    def trend(self, width: int) -> str:
        """The growth from look to look, the newest at the right."""
        counts = [count for _, count in self.seen]
        grown = [max(0, b - a) for a, b in itertools.pairwise(counts)][-width:]
        most = max(grown, default=0) or 1
        return "".join(BARS[round(g / most * (len(BARS) - 1))] for g in grown).rjust(width)


class StatusPicture:
    """Takes in documents of `network_status` and draws the newest, with rates from those before it."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._heights: dict[str, _Counter] = {}
        self._delivered: dict[tuple[int, int], _Counter] = {}
        self._document: Mapping[str, Any] = {}

    def observe(self, document: Mapping[str, Any], at: float) -> None:
        """`at`: seconds of any clock that does not go back."""
        self._document = document = legible(document, markup=False)
        for name, chain in _chains(document):
            self._heights.setdefault(name, _Counter()).add(at, chain["height"])
        for lane in document["lanes"]:
            key = lane["src"], lane["dst"]
            self._delivered.setdefault(key, _Counter()).add(at, lane["delivered"])

    def render(self, width: int, height: int) -> RenderableType:
        """The picture: at most `height` rows of at most `width` columns. Problems are never left out for what
        is fine.
        """
        document = self._document
        troubles = _troubles(document)
        chains = _chains(document)
        left = height - HEADER_ROWS - (len(chains) + TABLE_ROWS)
        shown = troubles[: max(1, left)] if troubles else []
        left -= len(shown) + bool(shown)
        parts: list[RenderableType] = [self._header(), "", self._chains(chains, width)]
        lanes, nodes = document["lanes"], document["nodes"]
        nodes_rows = min(
            len(nodes), max(0, left - TABLE_ROWS - min(len(lanes), FEW_LANES) - TABLE_ROWS)
        )
        lanes_rows = min(
            len(lanes), left - TABLE_ROWS - (nodes_rows + TABLE_ROWS if nodes_rows else 0)
        )
        if lanes and lanes_rows > 0:
            parts += ["", self._lanes(lanes, lanes_rows, width)]
        if nodes_rows > 0:
            parts += ["", _nodes(nodes, nodes_rows, width)]
        if shown:
            parts += ["", *shown]
        return Group(*parts)

    def _header(self) -> RenderableType:
        document = self._document
        nodes = document["nodes"]
        up = sum(node["state"] == "up" for node in nodes)
        row = Table.grid(expand=True)
        row.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        row.add_column(justify="right", no_wrap=True)
        row.add_row(
            Text.assemble(
                ("atoll ", "bold"), (self._title, "dim"), f"  chain {document['chainId']}"
            ),
            Text(f"{up} of {len(nodes)} nodes up", "green" if up == len(nodes) else "bold red"),
        )
        return row

    def _chains(self, chains: Sequence[tuple[str, Mapping[str, Any]]], width: int) -> Table:
        trend = 30 if width >= WIDE else 12 if width >= MEDIUM else 0
        table = _table()
        table.add_column("chain", no_wrap=True)
        table.add_column("height", justify="right", no_wrap=True)
        table.add_column("blocks/s", justify="right", no_wrap=True)
        if trend:
            table.add_column("", no_wrap=True, style="cyan")
            table.add_column("round", justify="right", no_wrap=True)
        table.add_column("pool", justify="right", no_wrap=True)
        table.add_column("nodes", no_wrap=True, overflow="ellipsis")
        for name, chain in chains:
            counter = self._heights.get(name, _Counter())
            cells: list[Text | str] = [name, _text(chain["height"]), _rate(counter.rate())]
            if trend:
                turn = chain["round"]
                cells += [counter.trend(trend), Text(_text(turn), "yellow" if turn else "")]
            table.add_row(*cells, _pool(chain), self._dots(chain))
        return table

    def _dots(self, chain: Mapping[str, Any]) -> Text:
        """A mark for each node of a shard."""
        text = Text()
        for node in self._document["nodes"]:
            if node["shard"] == chain.get("id"):
                up = node["state"] == "up"
                text.append("● " if up else "○ ", STATE_STYLES[node["state"]])
        return text

    def _lanes(self, lanes: Sequence[Mapping[str, Any]], rows: int, width: int) -> Table:
        trend = 30 if width >= WIDE else 12 if width >= MEDIUM else 0
        table = _table()
        table.add_column("lane", no_wrap=True)
        for name in ("in flight", "arrive/s"):
            table.add_column(name, justify="right", no_wrap=True)
        if trend:
            table.add_column("", no_wrap=True, style="cyan")
        for name in ("sent", "delivered"):
            table.add_column(name, justify="right", no_wrap=True)
        busy = sorted(lanes, key=lambda lane: lane["delivered"] - lane["sent"])
        for lane in busy[:rows]:
            waiting = lane["sent"] - lane["delivered"]
            counter = self._delivered[lane["src"], lane["dst"]]
            cells: list[Text | str] = [
                Text(f"{waiting:,}", "bold yellow" if waiting else ""),
                _rate(counter.rate()),
            ]
            cells += [counter.trend(trend)] if trend else []
            table.add_row(
                f"{lane['src']} → {lane['dst']}",
                *cells,
                f"{lane['sent']:,}",
                f"{lane['delivered']:,}",
            )
        return table


def _nodes(nodes: Sequence[Mapping[str, Any]], rows: int, width: int) -> Table:
    table = _table()
    table.add_column("node", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for name in ("height", "lag", "beacon", "peers"):
        table.add_column(name, justify="right", no_wrap=True)
    if width >= MEDIUM:
        table.add_column("RPC", no_wrap=True, overflow="ellipsis")
    if width >= WIDE:
        table.add_column("pid", justify="right", no_wrap=True)
    # When there is no room for all, the troubled nodes come first.
    order = nodes if rows >= len(nodes) else sorted(nodes, key=_is_well)
    for node in order[:rows]:
        lag, peers = node["lag"], node["peers"]
        missing = peers is not None and peers < node["peersExpected"]
        cells: list[Text | str] = [
            node["name"],
            Text(node["state"], STATE_STYLES[node["state"]]),
            _text(node["height"]),
            Text(_text(lag), "yellow" if lag and lag > 1 else ""),
            _text(node["beacon"]),
            Text(
                UNKNOWN if peers is None else f"{peers}/{node['peersExpected']}",
                "yellow" if missing else "",
            ),
        ]
        cells += [node["rpc"]] if width >= MEDIUM else []
        cells += [UNKNOWN if node["pid"] is None else str(node["pid"])] if width >= WIDE else []
        table.add_row(*cells)
    return table


def _is_well(node: Mapping[str, Any]) -> bool:
    return node["state"] == "up" and (node["lag"] or 0) <= 1


def _chains(document: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [
        ("beacon", document["beacon"]),
        *((f"shard {shard['id']}", shard) for shard in document["shards"]),
    ]


def _troubles(document: Mapping[str, Any]) -> list[Text]:
    """The problems, and the faults caused on purpose."""
    found = [
        Text(f"shard {shard['id']} is frozen", "bold red", no_wrap=True)
        for shard in document["shards"]
        if shard["frozen"]
    ]
    for node in document["nodes"]:
        if node["problem"]:
            found.append(
                Text(f"{node['name']}: {node['problem']}", "red", no_wrap=True, overflow="ellipsis")
            )
    return found + [
        Text(f"{fault['name']}: {fault['what']}", "yellow", no_wrap=True, overflow="ellipsis")
        for fault in document["faults"]
    ]


def _table() -> Table:
    return Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)


def _pool(chain: Mapping[str, Any]) -> Text:
    pool = chain.get("pool") or {"pending": None, "queued": None}
    if pool["pending"] is None:
        return Text("" if "pool" not in chain else UNKNOWN)
    text = f"{pool['pending']:,}" + (f" + {pool['queued']:,}" if pool["queued"] else "")
    return Text(text, "yellow" if pool["pending"] else "")


def _rate(rate: float | None) -> str:
    return UNKNOWN if rate is None else f"{rate:.1f}"


def _text(value: object) -> str:
    return UNKNOWN if value is None else f"{value:,}" if isinstance(value, int) else str(value)
