"""Trading from a program of one's own: signals in, verdicts and orders out, through the desk's one path.

    from trading_assets import desk

    done = desk.execute_trading_signals({"AAPL": 0.15, "IBM": -0.4}, {"AAPL": 660.1, "IBM": 202.3})

Nothing is decided here: signals go into the journal's inbox and a whole tick is run for this moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from trading_assets import config
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.protection.protect import new_execution_id
from trading_assets.engine.signals import tick_signals
from trading_assets.engine.ticks.tick import PassedOver
from trading_assets.engine.ticks.whole_tick import open_session, run_tick
from trading_assets.errors import InvalidInput
from trading_assets.keyring import ENVIRON
from trading_assets.store.records import OrderRecord, VerdictRecord

SOURCE = "python"


@dataclass(frozen=True, slots=True)
class Execution:
    """What became of the signals. Orders and verdicts are those of the whole tick: a stop that fell due
    and signals that waited in the inbox are among them."""

    execution_id: str
    verdicts: tuple[VerdictRecord, ...]
    orders: tuple[OrderRecord, ...]
    outcomes: dict[str, str]
    """symbol → ORDERED, REFUSED, BELOW_THRESHOLD, HELD, NO_PRICE, INCOMPLETE_BARS, SUPERSEDED"""
    vetoed: tuple[str, ...]  # blocking checks that did not pass: no entry was sent
    problems: tuple[str, ...]  # steps beside the orders that failed, each with its reason
    passed_over: tuple[PassedOver, ...] = ()  # signals of the tick, from whomever, that were not decided on


def execute_trading_signals(
    signals: Mapping[str, float],
    prices: Mapping[str, float | Decimal],
    *,
    as_of: datetime | None = None,
    source: str = SOURCE,
    config_path: Path | str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Execution:
    """Receive the signals and run a tick for them now: bars, features and data checks first, as for every
    tick, then protection, exits and entries through the same gate.

    signals:     symbol → value in [−1, 1]
    prices:      symbol → USD a share that the producer saw; the gate refuses an entry when the market has
                 left it by more than `max_slip_pct`. A symbol without one is held to its last bar's close
    as_of:       when the producer made up its mind, with a time zone; now where not given
    config_path: the configuration; without one TRADING_ASSETS_CONFIG, else config/execution.yaml

    Raises InvalidInput, and takes nothing, for a signal or price that cannot be used and while the model
    is enabled; MarketClosed before anything is received. LeaseHeld while another tick runs and BrokerError
    leave the signals in the inbox, and the next tick decides on them while they are fresh.
    """
    environ = ENVIRON if environ is None else environ
    unpriced = sorted(prices.keys() - signals.keys())
    if unpriced:
        raise InvalidInput(
            f"{', '.join(unpriced)} without a signal", where="prices", remedy="Give prices for signals only."
        )
    settings = config.load(config.path_in_use(config_path, environ))
    if settings.model.enabled:
        raise InvalidInput(
            "the model is enabled, and then signals from outside are not traded",
            where="configuration `model.enabled`",
            remedy="Set it to false for a desk that trades signals of your own.",
        )
    with Desk.open(settings, environ) as desk:
        session = open_session(desk)
        records = [
            tick_signals.external_signal(
                desk,
                symbol,
                float(value),
                as_of_ns=None if as_of is None else _nanoseconds(as_of),
                reference_price=_price(symbol, prices.get(symbol)),
                source=source,
            )
            for symbol, value in signals.items()
        ]
        tick_signals.receive_all(desk, records)
        report = run_tick(
            desk, session, desk.now_ns(), new_execution_id(), holder=f"execute_trading_signals {source}"
        )
    done = report.execution
    return Execution(
        execution_id=done.execution_id,
        verdicts=done.verdicts,
        orders=done.orders,
        outcomes={
            record.symbol: done.outcomes[record.decision_id]
            for record in records
            if record.decision_id in done.outcomes
        },
        vetoed=done.vetoed,
        problems=report.problems,
        passed_over=done.passed_over,
    )


def _nanoseconds(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise InvalidInput(
            f"{moment} has no time zone",
            where="as_of",
            remedy="Give one with a time zone, such as datetime(2026, 1, 2, 15, 30, tzinfo=UTC).",
        )
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * 1_000_000_000 + moment.microsecond * 1000


def _price(symbol: str, price: float | Decimal | None) -> Decimal | None:
    if price is None:
        return None
    try:
        return Decimal(str(price))
    except InvalidOperation:
        raise InvalidInput(f"{price!r} is no price", where=f"price of {symbol}", remedy="Give USD.") from None
