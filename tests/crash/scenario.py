"""What a desk is killed in the middle of: a session, a tick, what is held and working, and the signals.

A scenario follows from its seed alone. `prepare` plays its past once, with the desk and the exchange
that the cases use; each case begins with a copy of what that left on disk.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache, lru_cache
from pathlib import Path
from random import Random
from typing import NamedTuple

import duckdb
import psutil
from faults import PATIENT
from forks import TOKEN, Ended, ForkedExchange, gather_memory, run_forked, share, silence
from split_tape import SEED, Split, tape_with

from trading_assets.broker.alpaca.adapter import AlpacaBroker
from trading_assets.broker.alpaca.origins import origins
from trading_assets.broker.alpaca.transport import Timeouts
from trading_assets.broker.rate_budget import RateBudget
from trading_assets.config import EmbeddedSettings, Settings, keys
from trading_assets.core.matching import fill_price_at_quote, fill_price_in_bar
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.checks.table import BLOCKING
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.signals import tick_signals
from trading_assets.engine.ticks import tick, whole_tick
from trading_assets.exchange import opening
from trading_assets.exchange.control_client import ControlClient
from trading_assets.exchange.http.app import Urls
from trading_assets.exchange.tape_view import TapeView
from trading_assets.market.sessions import Sessions
from trading_assets.store.records import GateCheckRecord

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
FIRST_SESSION, LAST_SESSION = date(2012, 9, 4), date(2013, 2, 20)
BELOW, ABOVE = Decimal("0.996"), Decimal("1.004")  # a limit that rests, inside the collar
DEAR = Decimal("1.065")  # bought at that much above the tape, a position is through its stop on the tape


class Opinion(NamedTuple):
    """One signal as its producer gives it; `resting`: with a limit that the market does not meet."""

    symbol: str
    value: float
    resting: bool = False


@dataclass(frozen=True)
class Scenario:
    seed: int
    session: date
    tick: int  # its number in the session, of ticks every five minutes
    held: tuple[str, ...]
    stopped: tuple[str, ...]  # held, and through their stop at the tick
    working: tuple[Opinion, ...]  # orders that rest when the tick begins
    overdue: bool  # whether they have outlived the execution timeout by then
    signals: tuple[Opinion, ...]
    later: tuple[Opinion, ...]  # signals of the tick after it
    whole: bool  # the tick with bars, features and projections; else from its stored signals on
    runs: bool  # whether time runs for the desk, as on Alpaca
    fill_mode: str  # of the exchange
    limits: tuple[tuple[str, float], ...]
    split: Split | None = None  # of a symbol that is held

    @property
    def symbols(self) -> tuple[str, ...]:
        """What it has anything to do with."""
        return tuple(sorted({*self.held, *(opinion.symbol for opinion in (*self.working, *self.signals))}))

    @property
    def tick_ns(self) -> int:
        return sessions().ticks(self.session, 5)[self.tick]

    def settings(self, data_dir: Path, exchange: Urls) -> Settings:
        return Settings(
            data_dir=data_dir,
            symbols=SYMBOLS,
            timeout_seconds=0.2 if self.runs else 30.0,
            embedded=EmbeddedSettings(url=exchange.url, control_url=exchange.control_url),
        ).model_copy(update=dict(self.limits))


WARMING = Scenario(
    seed=-1,
    session=FIRST_SESSION,
    tick=20,
    held=("AAPL", "IBM"),
    stopped=("AAPL",),
    working=(Opinion("MSFT", 1.0, resting=True),),
    overdue=True,
    signals=(Opinion("IBM", -1.0),),
    later=(),
    whole=True,
    runs=False,
    fill_mode="ideal",
    limits=(),
)


@cache
def tape_view(split: Split | None) -> TapeView:
    """The tape as the exchange plays it."""
    return TapeView(tape_with(SEED, split), sessions())


@cache
def sessions() -> Sessions:
    return Sessions()


def _split(seed: int, session: date, held: Sequence[str], stopped: Sequence[str]) -> Split | None:
    """Two scenarios of five with a position have a split of one. Of one that is ex on the next session the
    stop does not count: it may have sold by the tick."""
    rng = Random(f"ex {seed}")
    if not held or rng.random() >= 0.4:
        return None
    today = rng.random() < 2 / 3
    if not today and held == stopped:
        return None
    ex_date = session if today else sessions().next(session)
    of = held if today else [symbol for symbol in held if symbol not in stopped]
    return Split(rng.choice(of), ex_date, rng.choice((2.0, 1.5, 0.25, 0.1)), today)


@lru_cache(maxsize=64)
def scenario(seed: int) -> Scenario:
    rng = Random(f"scenario {seed}")
    days = sessions().between(FIRST_SESSION, LAST_SESSION)
    session = rng.choice(days)
    number = rng.randrange(3, len(sessions().ticks(session, 5)) - 4)
    symbols = rng.sample(SYMBOLS, len(SYMBOLS))
    held = tuple(sorted(symbols[: rng.choice((0, 1, 2, 2, 3))]))
    stopped = held[:1] if held and rng.random() < 0.3 else ()
    working = tuple(
        Opinion(symbol, -1.0 if symbol in held else 1.0, resting=True)
        for symbol in symbols[1 : rng.choice((1, 2, 3))]
        if symbol not in stopped
    )
    split = _split(seed, session, held, stopped)
    if split is not None and split.today:
        working = ()  # what is held is from the day before, and no run has seen the morning
    return Scenario(
        seed=seed,
        split=split,
        session=session,
        tick=number,
        held=held,
        stopped=stopped,
        working=working,
        overdue=rng.random() < 0.5,
        signals=tuple(_answers(rng, symbol, symbol in held) for symbol in symbols[: rng.randrange(2, 6)]),
        later=tuple(_answers(rng, symbol, symbol in held) for symbol in symbols[2:4]),
        whole=seed % 8 == 7,
        runs=rng.random() < 0.3,
        fill_mode=rng.choice(("ideal", "alpaca_paper", "participation")),
        limits=(
            ("max_position_pct", rng.choice((0.05, 0.08))),
            ("max_order_notional", rng.choice((10_000.0, 2_500.0))),
            ("max_gross_exposure", rng.choice((0.6, 0.2))),
            ("max_orders_per_symbol_per_day", rng.choice((5, 2))),
            ("max_orders_per_execution", rng.choice((10, 3))),
            ("fractional", rng.random() < 0.3),
            ("flatten_on_kill", rng.random() < 0.4),
        ),
    )


def _answers(rng: Random, symbol: str, held: bool) -> Opinion:
    if held:
        return rng.choice((Opinion(symbol, -1.0), Opinion(symbol, -1.0, resting=True), Opinion(symbol, 1.0)))
    return rng.choice(
        (Opinion(symbol, 1.0), Opinion(symbol, 1.0), Opinion(symbol, 0.5), Opinion(symbol, 1.0, resting=True))
    )


def open_desk(
    settings: Settings, environ: dict[str, str] | None = None, timeouts: Timeouts = PATIENT
) -> Desk:
    """A desk as a new process opens it, on the adapter of production with timeouts of the case."""

    def connect(settings: Settings, environ: object) -> AlpacaBroker:
        return AlpacaBroker(
            origins(settings),
            *keys(settings, {}),
            timeouts=timeouts,
            budget=RateBudget(Path(settings.data_dir) / "rate_limit"),
        )

    return Desk.open(settings, environ or {}, connect=connect)


def warm(home: Path) -> None:
    """Play a past in this very process, so that its forks have everything imported, compiled and cached.
    Nothing stays open: no connection and no thread may cross a fork."""
    share()
    fill_price_at_quote(1, 1.0, 1.0, 1.0)
    fill_price_in_bar(1, 1.0, 1.0, 1.0, 1.0)
    opening.open_venue(home / "tape", start_ns=WARMING.tick_ns).close()
    exchange = ForkedExchange()
    try:
        with silence():
            prepare(WARMING, home, exchange, lambda run: Ended(answer=run()))
    finally:
        exchange.kill()
    duckdb.close()  # the connection to memory, with a thread, that its import opens
    gc.collect()
    mine = psutil.Process()
    files = [file for file in mine.open_files() if file.fd > 2]
    left = [*threading.enumerate()[1:], *mine.net_connections(), *files]
    if left:
        raise RuntimeError(f"open before the first fork: {left}")
    gc.freeze()  # what all forks share is not touched again
    gather_memory()
    gc.set_threshold(200_000, 20, 20)  # a run is over before its cycles weigh anything


def prepare(
    it: Scenario,
    home: Path,
    exchange: ForkedExchange,
    in_process: Callable[[Callable[[], str]], Ended] = run_forked,
) -> None:
    """Play the scenario's past into `home`: the state of the exchange and the data of the desk. The clock
    then stands at the tick, and a tick that is not whole has its signals and passed checks stored.

    in_process: how each run of the desk is made
    """
    over_night = it.split is not None and it.split.today
    bought_on = sessions().previous(it.session) if over_night else it.session
    start_ns = sessions().open_ns(bought_on)
    exchange.open(home / "exchange", it.split, start_ns=start_ns, fill_mode=it.fill_mode)
    keeper = ControlClient(exchange.urls.control_url, TOKEN)
    # what is held may take more than one order to sell
    settings = it.settings(home / "desk", exchange.urls).model_copy(update={"max_order_notional": 10_000.0})
    held = [Opinion(symbol, 1.0) for symbol in it.held]

    def at(moment_ns: int, act: Callable[[Desk], object]) -> None:
        keeper.move_to(moment_ns)

        def run() -> str:
            with open_desk(settings) as desk:
                act(desk)
            return ""

        ended = in_process(run)
        if not ended.well:
            raise RuntimeError(f"the past of scenario {it.seed} failed: {ended}")

    try:
        ticks = sessions().ticks(bought_on, 5)
        first_ns = ticks[min(it.tick, len(ticks) - 1)] - 10 * MINUTE_NS  # the day before may be a half day
        keeper.move_to(first_ns)
        for symbol in it.stopped:
            _quote_dear(keeper, it, symbol)
        at(first_ns, lambda desk: _tick(desk, it, first_ns, bought_on, held, whole=it.whole))
        for symbol in it.stopped:
            keeper.tape_quote(symbol)
        if over_night:
            assert it.split is not None
            keeper.hold_splits(it.split.symbol)
            evening_ns = sessions().close_ns(bought_on) + 10 * MINUTE_NS
            at(evening_ns, lambda desk: protect_alone(desk, new_execution_id()))
        worked_ns = it.tick_ns - (5 * MINUTE_NS if it.overdue else 20 * SECOND_NS)
        if it.working:
            at(worked_ns, lambda desk: _tick(desk, it, worked_ns, it.session, it.working, whole=False))
        at(it.tick_ns, lambda desk: give(desk, it.session, it.tick_ns, it.signals, stored=not it.whole))
    finally:
        keeper.close()
        exchange.close()


def _quote_dear(keeper: ControlClient, it: Scenario, symbol: str) -> None:
    """Quote a symbol by hand above the tape of the tick, so that what is bought there is through its stop."""
    last = tape_view(it.split).last_print(symbol, it.tick_ns)
    assert last is not None
    price = last.price * DEAR
    if it.split is not None and it.split.today and symbol == it.split.symbol:
        price *= Decimal(str(it.split.ratio))  # in the shares of the day before
    bid = price.quantize(Decimal("0.01"))
    keeper.quote(symbol, float(bid), float(bid + Decimal("0.01")))


def _tick(
    desk: Desk, it: Scenario, at_ns: int, session: date, opinions: Sequence[Opinion], *, whole: bool
) -> None:
    give(desk, session, at_ns, opinions, stored=not whole)
    run(desk, session, at_ns, new_execution_id(), whole=whole)


def run(desk: Desk, session: date, tick_ns: int, execution_id: str, *, whole: bool) -> None:
    """The tick as the live assets run it; not whole: as the asset of the orders does."""
    if whole:
        whole_tick.run_tick(desk, session, tick_ns, execution_id)
    else:
        tick.execute(desk, session, tick_ns, execution_id)


def give(desk: Desk, session: date, tick_ns: int, opinions: Sequence[Opinion], *, stored: bool) -> None:
    """Signals into the inbox; `stored`: and into the history for the tick, with its checks passed."""
    quotes = desk.broker.quotes([signal.symbol for signal in opinions])
    for signal in opinions:
        bid, ask = quotes[signal.symbol].bid, quotes[signal.symbol].ask
        if not bid or not ask:
            continue  # nothing is said of what has no price
        tick_signals.receive(
            desk,
            signal.symbol,
            signal.value,
            reference_price=(bid + ask) / 2,
            limit_price=None if not signal.resting else bid * BELOW if signal.value > 0 else ask * ABOVE,
            producer_id=f"{tick_ns}:{signal.symbol}",
        )
    if stored:
        tick_signals.store_signals(desk, session, tick_ns)
        now = desk.now_ns()
        desk.journal.record_gate_checks(
            [GateCheckRecord(desk.book, tick_ns, check, True, now, "as given") for check in sorted(BLOCKING)]
        )
