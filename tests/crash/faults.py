"""What fails beside the crash: the exchange, the machine, or the market. One entry for each of its kinds.

A fault strikes while the tick runs or while the desk recovers, and is over before the book has to be at
rest. Those of the exchange are scripts of its control plane; those of the machine are real: a file that
another process has open, a limit on what may be written.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import duckdb
import requests
from forks import begin
from split_tape import Split

from trading_assets.broker.alpaca.transport import Timeouts
from trading_assets.broker.alpaca.update_stream import UpdateStream
from trading_assets.config import Settings, keys
from trading_assets.core.orders import is_ours
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.operation.trade_updates import listen
from trading_assets.engine.reconciliation import transient_causes
from trading_assets.exchange.control_client import ControlClient
from trading_assets.exchange.faults.script import ENDS, STRANGE_ROWS_AT
from trading_assets.market.clock import VenueClock, system_now_ns
from trading_assets.store.history import History

PATIENT = Timeouts(connect_s=5.0, read_s=20.0, answer_s=20.0)
HASTY = Timeouts(connect_s=1.0, read_s=0.12, answer_s=0.5)  # for exchanges that hang
PATIENCE_SECONDS = 60.0
Script = list[dict[str, Any]]
ORDERS = "/v2/orders"
READS = (
    "/v2/account",
    "/v2/positions",
    "/v2/clock",
    ORDERS,
    "/v2/orders/.+",
    "/v2/orders:by_client_order_id",
    "/v2/account/activities",
    "/v2/stocks/snapshots",
    "/v2/assets/.+",
)


@dataclass(frozen=True)
class Fault:
    """script:  what the exchange is told, drawn for one case; it fires where it matches
    market:  what the market does, and undoes with the end of the block
    beside:  another process that is at work meanwhile
    afflict: what befalls the desk's own process
    split:   what the broker does ahead with the scenario's split, and the script for the rest of it; the
             fault is one of scenarios with a split, of one `today` or not (`of_today`)
    locks:   the locks that it may leave for a person to release: by cause, words of the reason
    family:  the faults that are alike take turns in the fixed choice
    rejects: whether the broker may reject what it had no reason to
    lags:    whether what the broker shows may be late at two looks of the desk: then it is a break
    """

    script: Callable[[Random, tuple[str, ...]], Script] = lambda rng, symbols: []
    market: Callable[[ControlClient, Random, tuple[str, ...]], AbstractContextManager[None]] | None = None
    beside: Callable[[Settings], AbstractContextManager[None]] | None = None
    afflict: Callable[[Desk, Random], None] | None = None
    split: Callable[[ControlClient, Random, Split], Script] | None = None
    of_today: bool = True
    timeouts: Timeouts = PATIENT
    locks: Mapping[str, str] = field(default_factory=dict)
    rejects: bool = False
    lags: bool = False
    family: str = ""

    def can_strike(self, split: Split | None) -> bool:
        """In a scenario with this split."""
        return self.split is None or (split is not None and split.today == self.of_today)


class Strike(NamedTuple):
    """A fault of a case: which, and whether the tick or its recovery meets it."""

    name: str
    phase: str  # tick or recovery

    def __str__(self) -> str:
        return f"{self.name}@{self.phase}"

    @staticmethod
    def read(text: str) -> Strike:
        return Strike(*text.split("@"))


def _sending(kind: str, **parameters: Any) -> Callable[[Random, tuple[str, ...]], Script]:
    """One order's request meets it: the first of a tick, or a later one."""
    return lambda rng, symbols: [
        {"kind": kind, "method": "POST", "path": ORDERS, "nth": rng.choice((1, 1, 2, 3)), **parameters}
    ]


def _any(kind: str, times: int = 1, *, writes: bool = True) -> Callable[[Random, tuple[str, ...]], Script]:
    """Some request meets it: an order, a cancel, or a read of one kind."""

    def script(rng: Random, symbols: tuple[str, ...]) -> Script:
        targets = [("GET", path) for path in READS]
        if writes:
            targets += [("POST", ORDERS), ("DELETE", "/v2/orders/.+")] * 4
        method, path = rng.choice(targets)
        return [
            {"kind": kind, "method": method, "path": path, "nth": rng.choice((1, 1, 2, 4)), "times": times}
        ]

    return script


def _field(kind: str, *named: tuple[str, str]) -> Callable[[Random, tuple[str, ...]], Script]:
    """One field of some answers is another than we know, or is not there."""

    def script(rng: Random, symbols: tuple[str, ...]) -> Script:
        path, name = rng.choice(named)
        return [{"kind": kind, "path": path, "field": name, "nth": rng.choice((1, 2, 3)), "times": 3}]

    return script


def _update(kind: str) -> Callable[[Random, tuple[str, ...]], Script]:
    return lambda rng, symbols: [{"kind": kind, "nth": rng.choice((1, 2, 3)), "times": 2}]


def _order_ended(rng: Random, symbols: tuple[str, ...]) -> Script:
    """What works ends at the broker by itself, with a word that it has for that, before some request."""
    (line,) = _any("order_ended")(rng, symbols)
    return [line | {"status": rng.choice(ENDS)}]


def _strange_rows(rng: Random, symbols: tuple[str, ...]) -> Script:
    """Some lists of the account have a row that no equity desk made, for as long as it lasts."""
    paths = STRANGE_ROWS_AT.split("|")
    chosen = rng.sample(paths, rng.choice((1, 2, len(paths))))
    return [{"kind": "strange_row", "path": path, "times": None} for path in chosen]


def _one_side(rng: Random, symbols: tuple[str, ...]) -> Script:
    line = {
        "kind": "zero_sided_quote",
        "symbol": rng.choice(symbols),
        "nth": rng.choice((1, 2)),
        "times": None,
    }
    return [{**line, "side": side} for side in rng.choice((("bid",), ("ask",), ("bid", "ask")))]


def _line_booked(rng: Random, split: Split, *, in_two_lines: bool = False) -> dict[str, Any]:
    """Before some request the next line is booked, with cash for a fraction mostly."""
    (line,) = _any("split_booked")(rng, ())
    in_lieu = rng.random() < 0.8
    return line | {"symbol": split.symbol, "in_two_lines": in_two_lines, "in_lieu": in_lieu}


def _split_late(keeper: ControlClient, rng: Random, split: Split) -> Script:
    """Announced, and not booked before some request."""
    return [_line_booked(rng, split)]


def _split_in_two_lines(keeper: ControlClient, rng: Random, split: Split) -> Script:
    """The old shares leave ahead or between the steps; the new ones come later."""
    if rng.random() < 0.5:
        keeper.book_split(split.symbol, in_two_lines=True)
        return [_line_booked(rng, split)]
    return [_line_booked(rng, split, in_two_lines=True), _line_booked(rng, split)]


def _split_unlisted(keeper: ControlClient, rng: Random, split: Split) -> Script:
    """Booked ahead; the announcement is listed some reads later, or when all is over."""
    book_split(keeper, split)
    return [{"kind": "split_unlisted", "symbol": split.symbol, "times": rng.choice((1, 2, 4, None))}]


def _split_early(keeper: ControlClient, rng: Random, split: Split) -> Script:
    """Announced and booked on the day before its ex-date, ahead or between the steps."""
    keeper.announce_split(split.symbol)
    if rng.random() < 0.3:
        keeper.book_split(split.symbol, in_two_lines=rng.random() < 0.5, in_lieu=True)
    return [_line_booked(rng, split, in_two_lines=rng.random() < 0.3), _line_booked(rng, split)]


@contextmanager
def _halted(keeper: ControlClient, rng: Random, symbols: tuple[str, ...]) -> Iterator[None]:
    symbol = rng.choice(symbols)
    keeper.halt(symbol)
    yield
    keeper.halt(symbol, halted=False)


def _say(tell: int) -> None:
    os.write(tell, b".")


@contextmanager
def _another_process(act: Callable[[Callable[[], None]], None]) -> Iterator[None]:
    """A fork that does `act`, which says when it is there, until the block ends."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        begin(None)
        act(lambda: _say(tell))
        os._exit(1)
    os.close(tell)
    try:
        if select.select([ready], [], [], PATIENCE_SECONDS)[0] and not os.read(ready, 1):
            raise RuntimeError("the process beside the desk ended before it was there")
        yield
    finally:
        os.close(ready)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _history_held(settings: Settings) -> AbstractContextManager[None]:
    """Somebody has the history open for writing."""

    def hold(there: Callable[[], None]) -> None:
        connection = duckdb.connect(str(settings.data_dir / "history.duckdb"))
        connection.execute("SELECT 1")
        there()
        signal.pause()

    return _another_process(hold)


def _listener(settings: Settings) -> AbstractContextManager[None]:
    """The service that takes in trade updates; there once it has reconciled."""

    def serve(there: Callable[[], None]) -> None:
        close = Desk.close

        def close_and_tell(desk: Desk) -> None:
            close(desk)
            there()

        Desk.close = close_and_tell
        with UpdateStream(settings, {}) as stream:
            listen(lambda: Desk.open(settings, {}), stream.updates, threading.Event())

    return _another_process(serve)


@contextmanager
def _by_hand(settings: Settings) -> Iterator[Callable[[str, str, dict[str, str] | None], Any]]:
    """The account as a person uses it beside the desk: (method, path, body) → the answer's JSON."""
    key_id, secret = keys(settings, {})
    with requests.Session() as session:
        session.trust_env = False
        session.headers.update({"APCA-API-KEY-ID": key_id, "APCA-API-SECRET-KEY": secret})

        def call(method: str, path: str, body: dict[str, str] | None = None) -> Any:
            answer = session.request(method, f"{settings.embedded.url}{path}", json=body, timeout=10)
            return answer.json() if answer.ok and answer.content else None

        yield call


@contextmanager
def _person_sells(settings: Settings) -> Iterator[None]:
    """A person's take-profits hold the shares of two positions, far above the market. In more than three
    symbols a person's orders stop the book's entries."""
    with _by_hand(settings) as call:
        placed = []
        for held in call("GET", "/v2/positions", None)[:2]:
            if Decimal(held["qty_available"]) > 0:
                price = (Decimal(held["current_price"]) * 2).quantize(Decimal("0.01"))
                body = {"symbol": held["symbol"], "side": "sell", "type": "limit", "time_in_force": "day"}
                body |= {"qty": held["qty_available"], "limit_price": str(price)}
                placed.append(call("POST", ORDERS, body))
        yield
        for order in filter(None, placed):
            call("DELETE", f"{ORDERS}/{order['id']}", None)


@contextmanager
def _person_replaces(settings: Settings) -> Iterator[None]:
    """A person moves the limit of each of our working orders a cent away from the market."""
    with _by_hand(settings) as call:
        for order in call("GET", f"{ORDERS}?status=open", None):
            if is_ours(order["client_order_id"]):
                away = Decimal("0.01") if order["side"] == "sell" else Decimal("-0.01")
                price = {"limit_price": str(Decimal(order["limit_price"]) + away)}
                call("PATCH", f"{ORDERS}/{order['id']}", price)
        yield


def _impatient(desk: Desk, rng: Random) -> None:
    desk.history = History(desk.history.path, retry_seconds=0.02)


def _disk_full(desk: Desk, rng: Random) -> None:
    """No file may grow beyond what the journal's log has by now and some pages more."""
    written = max(path.stat().st_size for path in Path(desk.settings.data_dir).glob("journal.sqlite*"))
    most = written + rng.randrange(0, 160_000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


def _skewed(desk: Desk, rng: Random) -> None:
    """The broker's clock is years from this machine's."""
    desk.clock = VenueClock(lambda: desk.broker.clock().now_ns, stands=False)
    desk.settings = desk.settings.model_copy(update={"timeout_seconds": 0.2})
    desk.clock.sync()
    transient_causes.system_now_ns = system_now_ns


FAULTS: dict[str, Fault] = {
    "hang_after_commit": Fault(_sending("hang_after_commit", seconds=0.6), timeouts=HASTY),
    "504_after_commit": Fault(_sending("gateway_timeout_after_commit")),
    "reset_after_commit": Fault(_sending("reset_after_commit")),
    "drop": Fault(_any("drop")),
    "html_502": Fault(_any("html_502", times=2)),
    "html_502_after_commit": Fault(_any("html_502_after_commit")),
    "rate_limited": Fault(_any("rate_limited", times=4)),
    "server_error": Fault(_any("server_error", times=2)),
    "truncated_json": Fault(_any("truncated_json")),
    "unknown_enum": Fault(
        _field(
            "unknown_enum",
            (ORDERS, "status"),
            ("/v2/orders/.+", "status"),
            (ORDERS, "type"),
            ("/v2/account/activities", "activity_type"),
            ("/v2/account", "status"),
        ),
        locks={"ORDER_STATE": ""},  # an order that is over and is told to be what nobody knows
    ),
    "missing_field": Fault(
        _field(
            "missing_field",
            (ORDERS, "filled_qty"),
            (ORDERS, "id"),
            ("/v2/orders/.+", "status"),
            ("/v2/positions", "qty"),
            ("/v2/account/activities", "cum_qty"),
            ("/v2/account", "cash"),
        )
    ),
    "stuck_pending_cancel": Fault(lambda rng, symbols: [{"kind": "stuck_pending_cancel", "calls": 6}]),
    "ignored_cancel": Fault(
        lambda rng, symbols: [
            {"kind": "ignored_cancel", "method": "DELETE", "path": "/v2/orders/.+", "times": 2}
        ]
    ),
    "position_lag": Fault(
        lambda rng, symbols: [{"kind": "position_lag", "reads": rng.choice((1, 2, 4))}], lags=True
    ),
    "missing_fill": Fault(
        lambda rng, symbols: [{"kind": "missing_fill_activity", "reads": rng.choice((1, 2))}]
    ),
    "update_missing": Fault(_update("update_missing"), beside=_listener, family="updates"),
    "update_duplicate": Fault(_update("update_duplicate"), beside=_listener, family="updates"),
    "update_reordered": Fault(_update("update_reordered"), beside=_listener, family="updates"),
    "zero_sided_quote": Fault(_one_side),
    "symbol_halted": Fault(market=_halted),
    "order_ended": Fault(
        _order_ended,
        locks={"ORDER_STATE": "was PARTIALLY_FILLED in the journal, and the broker says 'rejected'"},
        rejects=True,
    ),
    "strange_rows": Fault(_strange_rows),
    "person_sells": Fault(beside=_person_sells, locks={"BREAK": ""}),
    "person_replaces": Fault(beside=_person_replaces),
    "split_late": Fault(split=_split_late, family="splits"),
    "split_in_two_lines": Fault(split=_split_in_two_lines, family="splits"),
    "split_unlisted": Fault(split=_split_unlisted, family="splits"),
    "split_early": Fault(split=_split_early, of_today=False, family="splits"),
    "history_locked": Fault(beside=_history_held, afflict=_impatient),
    "disk_full": Fault(afflict=_disk_full),
    "clock_skew": Fault(afflict=_skewed),
}


class Struck(NamedTuple):
    """What a fault strikes."""

    keeper: ControlClient
    rng: Random
    symbols: tuple[str, ...]
    split: Split | None
    settings: Settings


@contextmanager
def struck(strike: Strike, at: Struck) -> Iterator[None]:
    """The fault lasts as long as the block."""
    fault, keeper, rng, symbols = FAULTS[strike.name], at.keeper, at.rng, at.symbols
    script = fault.script(rng, symbols)
    if fault.split is not None:
        assert at.split is not None, f"{strike} in a scenario without a split"
        script = fault.split(keeper, rng, at.split)
    if script:
        keeper.script(script)
    market = nullcontext() if fault.market is None else fault.market(keeper, rng, symbols)
    beside = nullcontext() if fault.beside is None else fault.beside(at.settings)
    with market, beside:
        yield
    if script:
        keeper.script([])
    if fault.split is not None and at.split is not None:
        book_split(keeper, at.split)


def book_split(keeper: ControlClient, split: Split) -> None:
    """Every line that is still to come."""
    while keeper.book_split(split.symbol, in_lieu=True):
        pass
