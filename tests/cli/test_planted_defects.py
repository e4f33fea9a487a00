"""Twenty defects planted in the bars of 7 000 made-up symbols: the command and the report name each of them,
and almost nothing else is left out."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from support.command import command
from support.made_up_bars import clean_series, own_rows, session_of, without
from support.planted_bars import PLANTERS, Planted, Planter, plant_split

from trading_assets.market.quarantine.rules import MARKET, BarRule
from trading_assets.market.quarantine.series import Series

SYMBOLS, SESSIONS = 7000, 130
AT = 45
OTHER_SPLITS = [partial(plant_split, ratio=ratio) for ratio in (0.1, 1.5, 7.0)]
ALL: list[Planter] = [*PLANTERS, *OTHER_SPLITS]


def written(series: Series, path: Path, spoilt: dict[int, tuple[str, float]]) -> None:
    """The bars as a vendor's Parquet. spoilt: row → a column and its value there."""
    split, cash = np.ones(len(series.day)), np.zeros(len(series.day))
    for symbol, actions in series.actions.items():
        rows = own_rows(series, symbol)
        for action in actions:
            row = rows.start + int(np.searchsorted(series.day[rows], action.ex_date.toordinal()))
            split[row] *= action.split_ratio
            cash[row] += action.cash_usd
    columns = {name: getattr(series.rows, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for row, (name, value) in spoilt.items():
        columns[name][row] = value
    symbol = pa.DictionaryArray.from_arrays(pa.array(series.number), pa.array(list(series.symbols)))
    days = pa.array((series.day - np.int64(719163)).astype(np.int32)).cast(pa.date32())
    pyarrow.parquet.write_table(
        pa.table({"date": days, "symbol": symbol, **columns, "split_ratio": split, "cash_usd": cash}), path
    )


@pytest.mark.slow(seconds=40)
def test_twenty_defects_among_seven_thousand_symbols_are_named_by_symbol_and_session(tmp_path: Path) -> None:
    config = tmp_path / "config" / "execution.yaml"
    config.parent.mkdir()
    config.write_text("mode: paper\n")
    series = clean_series(SYMBOLS, SESSIONS)
    planted: list[Planted] = []
    for number, plant in enumerate(ALL):
        planted.append(plant(series, series.symbols[100 + 300 * number], AT))
        series = planted[-1].series
    expected = {(one.rule.name, one.symbol, one.session.isoformat()) for one in planted}
    hole = session_of(series, own_rows(series, series.symbols[0]).start + 100)
    series = without(series, np.flatnonzero(series.day == hole.toordinal()).tolist())
    expected.add((BarRule.MARKET_HOLE.name, MARKET, hole.isoformat()))
    spoilt: dict[int, tuple[str, float]] = {}
    for rule, symbol, column, value in (
        (BarRule.ABOVE_HIGH, series.symbols[6001], "close", 1e5),
        (BarRule.NOT_POSITIVE, series.symbols[6002], "low", -1.0),
    ):
        row = own_rows(series, symbol).start + 20
        spoilt[row] = (column, value)
        expected.add((rule.name, symbol, session_of(series, row).isoformat()))
    assert len(expected) == 20
    file = tmp_path / "vendor.parquet"
    written(series, file, spoilt)

    ended = command("import-bars", file, "--interval", "1d", "--adjusted", "no", config=config)
    assert ended.status == 0, ended.err
    report = command("data", "report", "--json", config=config)
    assert report.status == 0, report.err
    message = [
        (one["rule"], one["symbol"], one["session"])
        for part in ("quarantined", "found")
        for one in report.json[part]
    ]
    assert expected - set(message) == set()

    with duckdb.connect(str(tmp_path / "var" / "history.duckdb"), read_only=True) as history:
        left_out = history.execute("SELECT rule, symbol, session FROM bars_quarantine").fetchall()
        (stored,) = history.execute("SELECT count(*) FROM bars").fetchall()[0]
    symbols = {one.symbol for one in planted} | {series.symbols[6001], series.symbols[6002]}
    falsely = [one for one in left_out if one[1] not in symbols]
    assert len(falsely) <= 0.0001 * len(series.day)  # a tenth of what is asked for
    in_rows = {rule.name for rule in (BarRule.ACTION_AGAIN, BarRule.ACTION_NOT_FOLLOWED)}
    assert stored == len(series.day) - len([one for one in left_out if one[0] not in in_rows])

    shown = command("data", "report", config=config)
    assert len(shown.out.splitlines()) <= 2 + len(BarRule) * 12
    assert "UNEXPLAINED_SPLIT" in shown.out
    one = planted[0]
    alone = command("data", "report", "--symbol", one.symbol, config=config).out.splitlines()
    assert f"  {one.symbol} {one.session}, file:vendor.parquet row " in "\n".join(alone)
    assert len(alone) <= 4
