"""What the desk reads and does not make, as external assets: they complete the graph, and nothing launches
them.

A line from one of them to an asset says that the asset reads it. No run waits for it.
"""

import dagster as dg

GROUP = "sources"
OWNERS = ["team:desk"]

broker_feed = dg.AssetSpec(
    "broker_feed",
    group_name=GROUP,
    owners=OWNERS,
    kinds={"alpaca"},
    description="Alpaca, or the embedded exchange, sends minute bars, daily bars, corporate actions, "
    "quotes and trades.",
)

broker_account = dg.AssetSpec(
    "broker_account",
    group_name=GROUP,
    owners=OWNERS,
    kinds={"alpaca"},
    description="The broker reports the account's cash and equity, its positions, its orders and its "
    "activities.",
)

signal_inbox = dg.AssetSpec(
    "signal_inbox",
    group_name=GROUP,
    owners=OWNERS,
    kinds={"csv", "json", "sqlite"},
    description="Signals from outside the desk. Your program calls `execute_trading_signals` or the "
    "command line, or writes files into the inbox; the desk keeps each signal in the journal until a tick "
    "takes it.",
)

imported_files = dg.AssetSpec(
    "imported_files",
    group_name=GROUP,
    owners=OWNERS,
    kinds={"csv", "parquet"},
    description="Files that you bring: bars and corporate actions that `trading-assets import-bars` "
    "writes into the history, and signal or model files that a replay names.",
)

bundled_bars = dg.AssetSpec(
    "bundled_bars",
    group_name=GROUP,
    owners=OWNERS,
    kinds={"csv"},
    description="Daily bars, splits and dividends of US stocks since 2000, which the package brings with it.",
)

bar_history = dg.AssetSpec(
    "bar_history",
    group_name=GROUP,
    owners=OWNERS,
    kinds={"duckdb"},
    deps=["bars", "training_bars", imported_files],
    description="All bars in the history, whoever wrote them: ticks, trainings and your imports. A replay "
    "with `bars: history` reads them.",
)
