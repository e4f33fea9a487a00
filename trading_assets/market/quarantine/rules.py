"""Every rule that a bar can break: its name, its sentence, its threshold, and what becomes of the bar.

What looks at a row by itself is `market.bar_files.row_faults`; what looks at the rows of a symbol in their
order is in the modules beside this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import NamedTuple

MOST_FAULTY = 0.01  # of a file's rows, or one row
"""Above it a file is refused whole: it is more likely read wrongly than broken in places."""

SPLIT_RATIOS = (1.25, 4 / 3, 1.5, 5 / 3, 2.0, 2.5, *(float(n) for n in range(3, 13)), 15.0, 18.0, 20.0)
"""Of a split, and of a reverse one the inverse: those that are common in the market."""
REVERSE_ONLY = (14.0, 16.0, 25.0, 30.0, 35.0, 40.0)  # for one: of reverse splits, and rarely of splits
QUIET_VOLUME = 4.0  # times the usual, in shares or in USD: a split moves no more, a crash does
USUAL_ROWS = 20  # before a row, from which its usual volume and move are taken
REVERTS_WITHIN = 5  # rows after which a price that came back was a bad print all along
JUMP = 20.0
AGAIN_WITHIN = 3  # sessions
FOLLOWED_FROM = 1.2  # the factor of an action below which no day's price tells whether it followed
GAP_SESSIONS = 42  # two months
GAP_JUMP = 1.5
STALE_ROWS = 3
VOLUME_LEVEL = 30.0
VOLUME_ROWS = 20
HOLE_SYMBOLS, HOLE_SHARE = 10, 0.05
OTHERS = 10  # symbols beside one that make a market
MARKET_SESSIONS = 60
LIKE_MARKET, LIKE_MARKET_T = 0.2, 4.5
SHIFTED_SHARE = 0.9
LONG_SESSION = 30  # bars

MARKET = "*"
"""Stands for the symbol where what is wrong is of no single one."""


class BarRule(StrEnum):
    """The rules, in the order in which a row's first fault is named."""

    EMPTY = "a price or the volume is empty"
    NOT_POSITIVE = "a price is not a positive finite number"
    VOLUME = "the volume is negative or not finite"
    ABOVE_HIGH = "open, low or close lies above high"
    BELOW_LOW = "open, high or close lies below low"
    NOT_A_SESSION = "that day is no XNYS session"
    SECOND_BAR = "a second bar at the same time"
    SHIFTED_BARS = "the bars of its sessions begin and end one minute beside the market's"
    AHEAD_OF_MARKET = "its bars stand one session early: they move as the market does a session later"
    JUMP = "a price is 20 times another or more, such as pence among pounds"
    UNEXPLAINED_SPLIT = "the price moved as by a split, and no split is told"
    ACTION_NOT_FOLLOWED = "the price did not follow the split or dividend that is told"
    ACTION_AGAIN = "the same split or dividend was told a few sessions before"
    BEHIND_MARKET = "its bars stand one session late: they move as the market did a session before"
    NEW_LISTING = "months without a bar, then another price: perhaps another company under the ticker"
    VOLUME_LEVEL = "the volume changed its level for good, such as from shares to hundreds"
    STALE = "rows that repeat the one before"
    ZERO_VOLUME = "no shares traded"
    MISSING_SESSIONS = "sessions without a bar between its first and its last"
    MARKET_HOLE = "a session of which no symbol has a bar"


class Effect(StrEnum):
    """What becomes of what breaks a rule."""

    ROW = "the row is left out"
    ACTION = "the split or dividend is left out, the row is kept"
    KEPT = "the row is kept and named"


class RuleTerms(NamedTuple):
    """What a person needs to know of a rule beside its sentence."""

    effect: Effect
    threshold: str
    measured: str  # what the number beside a finding is; "": it measures nothing
    remedy: str


_ROW = "Correct the row, and import the file again."
RULES: Mapping[BarRule, RuleTerms] = {
    BarRule.EMPTY: RuleTerms(Effect.ROW, "any", "", _ROW),
    BarRule.NOT_POSITIVE: RuleTerms(Effect.ROW, "0 or below", "the lowest price", _ROW),
    BarRule.VOLUME: RuleTerms(Effect.ROW, "below 0", "the volume", _ROW),
    BarRule.ABOVE_HIGH: RuleTerms(Effect.ROW, "any", "the highest price", _ROW),
    BarRule.BELOW_LOW: RuleTerms(Effect.ROW, "any", "the lowest price", _ROW),
    BarRule.NOT_A_SESSION: RuleTerms(Effect.ROW, "any", "", "Correct the date, or leave the row out."),
    BarRule.SECOND_BAR: RuleTerms(Effect.ROW, "any", "", "Keep one row for each symbol and time."),
    BarRule.SHIFTED_BARS: RuleTerms(
        Effect.ROW,
        f"minutes, {SHIFTED_SHARE:.0%} of the symbol's sessions of at least {LONG_SESSION} bars",
        "minutes beside the market",
        "Import that symbol from a file of its own with the other --stamps.",
    ),
    BarRule.AHEAD_OF_MARKET: RuleTerms(
        Effect.ROW,
        f"correlation of daily returns with the next session's market at least {LIKE_MARKET:g}, by t = "
        f"{LIKE_MARKET_T:g} above 0 and above that with the session's own; {MARKET_SESSIONS} sessions, "
        f"{OTHERS} other symbols",
        "the correlation",
        "Move its dates one session on, and import them again: now they show what was known a day later.",
    ),
    BarRule.JUMP: RuleTerms(
        Effect.ROW,
        f"×{JUMP:g} or ÷{JUMP:g} between two closes, actions taken out, or between low and high; a price "
        f"that comes back within {REVERTS_WITHIN} rows costs these rows, one that stays its first row",
        "times the price before",
        "Correct the prices, or add the split of that day.",
    ),
    BarRule.UNEXPLAINED_SPLIT: RuleTerms(
        Effect.ROW,
        "open within 1.5 to 12 % (by the ratio and the symbol's own moves), and close within 2.5 times that, "
        f"of a common ratio such as 2:1, 3:2 or 1:10; volume at most {QUIET_VOLUME:g} × the usual, in "
        "shares or in USD",
        "times the price before",
        "Add the split (column split_ratio), and import the file again.",
    ),
    BarRule.ACTION_NOT_FOLLOWED: RuleTerms(
        Effect.ACTION,
        f"open and close nearer to the price before than to what an action of ×{FOLLOWED_FROM:g} or more "
        "makes of it",
        "times the price before",
        "Say what the prices are adjusted for (--adjusted), or correct the action or its date.",
    ),
    BarRule.ACTION_AGAIN: RuleTerms(
        Effect.ACTION, f"within {AGAIN_WITHIN} sessions", "sessions after the first", "Keep one of them."
    ),
    BarRule.BEHIND_MARKET: RuleTerms(
        Effect.KEPT,
        "as AHEAD_OF_MARKET, with the session before",
        "the correlation",
        "Move its dates one session back, and import them again, unless it trades too thinly to tell.",
    ),
    BarRule.NEW_LISTING: RuleTerms(
        Effect.KEPT,
        f"{GAP_SESSIONS} sessions without a bar, then ×{GAP_JUMP:g} or ÷{GAP_JUMP:g}",
        "times the price before",
        "Where it is another company, import the two under names of their own, or the newer with --from.",
    ),
    BarRule.VOLUME_LEVEL: RuleTerms(
        Effect.KEPT,
        f"×{VOLUME_LEVEL:g} or ÷{VOLUME_LEVEL:g} from {VOLUME_ROWS} rows to the next {VOLUME_ROWS}",
        "times the volume before",
        "Write all volumes in shares.",
    ),
    BarRule.STALE: RuleTerms(
        Effect.KEPT,
        f"{STALE_ROWS} daily rows with the same prices and the same volume, which is not 0",
        "equal rows",
        "Leave out rows that repeat the last day with trades.",
    ),
    BarRule.ZERO_VOLUME: RuleTerms(
        Effect.KEPT, "0, daily", "rows in a row", "None where the stock is thin: such a day fills no order."
    ),
    BarRule.MISSING_SESSIONS: RuleTerms(
        Effect.KEPT,
        "1",
        "sessions",
        "Import them. A symbol is not entered on while a session of its look-back is missing.",
    ),
    BarRule.MARKET_HOLE: RuleTerms(
        Effect.KEPT,
        f"at most {HOLE_SHARE:.0%} of at least {HOLE_SYMBOLS} symbols with bars before and after have one",
        "symbols without a bar",
        "Import that session.",
    ),
}

BREAKS = (BarRule.JUMP, BarRule.UNEXPLAINED_SPLIT)
"""Where the prices of one symbol before and after are not those of one share."""
BREAK_NAMES = tuple(rule.name for rule in BREAKS)

FACTORS = tuple(rule for rule, terms in RULES.items() if terms.measured.startswith("times"))
"""What they measure is far from 1 either way."""


class OnDefect(StrEnum):
    """What becomes of a file with a row that cannot be right."""

    REFUSE = "refuse"
    QUARANTINE = "quarantine"


class Fault(NamedTuple):
    """A row that was left out, or the action of a row."""

    symbol: str
    session: date
    rule: BarRule
    measured: float  # what the rule looked at; NaN: it measures nothing
    limit: float
    row: int  # of the file, the header counted

    def sentence(self) -> str:
        figure = f" ({RULES[self.rule].measured}: {self.measured:.4g})" if self.rule in _WITH_FIGURE else ""
        return f"{self.symbol} {self.session}, row {self.row}: {self.rule}{figure}"


_WITH_FIGURE = (
    BarRule.AHEAD_OF_MARKET,
    BarRule.JUMP,
    BarRule.UNEXPLAINED_SPLIT,
    BarRule.ACTION_NOT_FOLLOWED,
    BarRule.ACTION_AGAIN,
)


def are_too_many(faulty: int, rows: int) -> bool:
    """Whether a file with so many faulty rows is refused whatever a person said."""
    return faulty >= rows or faulty > max(1, MOST_FAULTY * rows)
