"""A floor's files and orders, as a command that was refused must leave them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from support.command import command
from support.trading_floor import TradingFloor

from trading_assets.market.sessions import Sessions

SESSION = date(2012, 9, 11)


def data_dir(floor: TradingFloor) -> Path:
    return floor.config_path.parent.parent / "var"


def bought(floor: TradingFloor) -> None:
    """Six shares of AAPL, bought at the first tick; then it is the second."""
    floor.go_to_session(SESSION, 0)
    assert command("signal", "AAPL=0.9", config=floor.config_path).status == 0
    assert command("tick", config=floor.config_path).status == 0
    floor.go_to_session(SESSION, 1)


def orders_at_broker(floor: TradingFloor) -> list[tuple[str, int]]:
    with floor.desk() as desk:
        return [(order.symbol, order.side) for order in desk.broker.orders_since(0)]


IMPORT = ("--interval", "1d", "--stamps", "start", "--adjusted", "no")


def bar_file(floor: TradingFloor, days: int = 400) -> Path:
    """Daily bars of one made-up symbol."""
    path = floor.config_path.parent / "bars.csv"
    rows = [
        f"{day},ACME,{10 + i % 7}.5,{12 + i % 7},{9 + i % 7},{11 + i % 7},1000"
        for i, day in enumerate(Sessions().between(date(2005, 1, 3), date(2011, 12, 30))[:days])
    ]
    path.write_text("\n".join(["date,symbol,open,high,low,close,volume", *rows]) + "\n")
    return path
