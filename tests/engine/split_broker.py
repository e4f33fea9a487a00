"""A broker that books a split in a time of its own, beside the real exchange."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

from support.planted import Altered
from support.trading_floor import TradingFloor

from trading_assets.broker.alpaca import parsing
from trading_assets.broker.port import (
    AccountActivity,
    AccountState,
    BarState,
    CorporateActionState,
    PositionState,
    QuoteState,
    Rows,
)
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.protection.protect import ProtectReport, new_execution_id, protect_alone
from trading_assets.market.sessions import new_york_midnight_ns

MINUTE_NS = 60 * 10**9
ONE = Decimal(1)


@dataclass
class SplitBroker:
    """The real exchange, but for a split of AAPL that its price shows and its position shows in a time of its
    own."""

    desk: Desk
    ex_date: date
    ratio: Decimal  # new shares per old one
    in_price: bool = True
    in_position: bool = False
    factor: Decimal = ONE  # of the price, beside the split
    announced: Decimal | None = None  # as is true, where it is None
    shares: Decimal | None = None  # for each old one, where the position shows neither all nor none of it
    lines: list[AccountActivity] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._real = self.desk.broker
        self.desk.broker = Altered(
            self._real,
            account=self._account,
            positions=self._positions,
            quotes=self._quotes,
            activities=self._activities,
            corporate_actions=self._corporate_actions,
            bars=self._bars,
        )

    def book(self) -> None:
        """The position first, and the line with it."""
        self.in_position = True
        held = self._held()
        self.list_line(held.qty * self.ratio - held.qty)

    def list_line(self, came: Decimal, kind: str = "SPLIT") -> None:
        """A line that brings, or takes, so many shares."""
        name = f"split-line-{len(self.lines)}"
        fields = {"id": name, "activity_type": kind, "symbol": "AAPL", "qty": f"{came:f}"}
        self.lines.append(
            parsing.activity({**fields, "net_amount": "0", "date": self.desk.session_text(), "price": None})
        )

    @property
    def held(self) -> Decimal:
        """Shares before the split."""
        return self._held().qty

    def _price(self) -> Decimal:
        return self.factor / self.ratio if self.in_price else self.factor

    def _held(self) -> PositionState:
        return next(one for one in self._real.positions() if one.symbol == "AAPL")

    def _positions(self) -> Sequence[PositionState]:
        shown = [self._split(one) if one.symbol == "AAPL" else one for one in self._real.positions()]
        return Rows(one for one in shown if one.qty)

    def _split(self, one: PositionState) -> PositionState:
        shares, price = self.ratio if self.in_position else ONE, self._price()
        shares = shares if self.shares is None else self.shares
        assert one.market_value is not None
        assert one.current_price is not None
        return replace(
            one,
            qty=one.qty * shares,
            available=one.available * shares,
            avg_entry_price=one.avg_entry_price / (shares or ONE),
            market_value=one.market_value * shares * price,
            current_price=one.current_price * price,
        )

    def _account(self) -> AccountState:
        real, held = self._real.account(), self._held()
        assert held.market_value is not None
        shown = self._split(held).market_value
        assert shown is not None
        return replace(real, equity=real.equity - held.market_value + shown)

    def _quotes(self, symbols: Sequence[str]) -> Mapping[str, QuoteState]:
        result = dict(self._real.quotes(symbols))
        if "AAPL" in result:
            price = self._price()
            fields = ("bid", "ask", "last_trade")
            result["AAPL"] = replace(
                result["AAPL"], **{name: getattr(result["AAPL"], name) * price for name in fields}
            )
        return result

    def _bars(self, symbols: Sequence[str], *where: Any) -> Sequence[BarState]:
        ex_ns = new_york_midnight_ns(self.ex_date)
        return [
            self._split_bar(bar) if bar.symbol == "AAPL" and bar.start_ns >= ex_ns else bar
            for bar in self._real.bars(symbols, *where)
        ]

    def _split_bar(self, bar: BarState) -> BarState:
        price = float(self._price())
        prices = {name: getattr(bar, name) * price for name in ("open", "high", "low", "close")}
        return replace(bar, **prices)

    def _activities(self, since_ns: int, *, after_id: str | None = None) -> Rows[AccountActivity]:
        lines = self._real.activities(since_ns, after_id=after_id)
        return Rows.of([*lines, *self.lines], lines.unreadable)

    def _corporate_actions(
        self, symbols: Sequence[str], first: date, last: date
    ) -> Rows[CorporateActionState]:
        split = CorporateActionState("AAPL", self.ex_date, float(self.announced or self.ratio), 0.0)
        return Rows.of([split] if "AAPL" in symbols and first <= self.ex_date <= last else [])


def look(floor: TradingFloor, desk: Desk) -> ProtectReport:
    floor.keeper.move_to(desk.broker.clock().now_ns + MINUTE_NS)
    return protect_alone(desk, new_execution_id())
