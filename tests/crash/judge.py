"""What must hold after a case: each rule looks at the exchange's record and at the desk's tables."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Any

from faults import FAULTS
from scenario import MINUTE_NS, Opinion, Scenario
from trial import Evidence
from witnesses import Accepted, DeskTables, Exchange, Exposure

from trading_assets.config import Settings
from trading_assets.core.orders import Kind
from trading_assets.core.words import Side
from trading_assets.exchange.faults.http import NEVER_SEEN

OURS = "ta-"
NO_SHARES = ("insufficient qty available", "inferred: sell_to_open")
TERMINAL = ("FILLED", "CANCELED", "EXPIRED", "REJECTED", "DROPPED", "ABANDONED")
DAY_NS = 24 * 60 * MINUTE_NS  # of UTC, as good as New York's within market hours
ROUNDING = Decimal("1.000001")
CASH_TOLERANCE = Decimal("0.01")


def judge(evidence: Evidence) -> list[str]:
    """Every invariant that the case breaks, one sentence each; empty: none."""
    it = evidence.scenario
    exchange = Exchange(evidence.exchange_journal, it.split, evidence.looked_ns)
    desk = DeskTables(evidence.desk_journal)
    wrong = list(evidence.problems)
    wrong += exchange.problems
    for rule in (_duplicates, _fills, _limits, _ledger, _outcomes):
        wrong += rule(exchange, desk, it)
    for rule_of_evidence in (_locks, _halts, _exits, _stops, _rejections):
        wrong += rule_of_evidence(exchange, desk, evidence)
    return wrong


def _ours(exchange: Exchange) -> Iterator[Accepted]:
    for one in exchange.accepted.values():
        if one.order.client_order_id.startswith(OURS):
            yield one


def _duplicates(exchange: Exchange, desk: DeskTables, it: Scenario) -> Iterator[str]:
    """No decision has two orders at work, and none that buys has two orders at all."""
    ids = Counter(one.order.client_order_id for one in exchange.accepted.values())
    yield from (f"id {key} was accepted {count} times" for key, count in ids.items() if count > 1)
    decided: dict[tuple[Any, ...], list[Accepted]] = defaultdict(list)
    for one in _ours(exchange):
        intent = desk.intents.get(one.order.client_order_id)
        if intent is None:
            yield f"order {one.order.client_order_id} has no intent"
            continue
        same = (intent["side"], Decimal(intent["qty"]), Decimal(intent["limit_price"]), intent["symbol"])
        if same != (one.order.side, one.order.qty, one.order.limit_price, one.order.symbol):
            yield f"order {one.order.client_order_id} differs from its intent"
        decided[intent["decision_id"], intent["side"], intent["slice"]].append(one)
    for key, orders in decided.items():
        for earlier, later in pairwise(orders):
            if key[1] == Side.BUY:
                yield f"decision {key} bought twice"
            if earlier.ended is None or earlier.ended > later.number:
                yield f"decision {key} had two orders at work"
            if not _known_over(desk, earlier, later):
                yield f"decision {key} was sent again before the earlier order was known to be over"


def _known_over(desk: DeskTables, earlier: Accepted, later: Accepted) -> bool:
    ended = [
        row["sequence"] for row in desk.events(earlier.order.client_order_id) if row["to_state"] in TERMINAL
    ]
    sent = [
        row["sequence"] for row in desk.events(later.order.client_order_id) if row["to_state"] == "SUBMITTING"
    ]
    return bool(ended and sent) and min(ended) < min(sent)


def _fills(exchange: Exchange, desk: DeskTables, it: Scenario) -> Iterator[str]:
    """Each fill of the exchange is journaled once, with its quantity and price, and none beside them."""
    theirs = {
        (order_id, cum, qty, price)
        for order_id, listed in exchange.fills.items()
        for cum, qty, price in listed
    }
    rows = [
        (row["broker_order_id"], Decimal(row["cum_qty"]), Decimal(row["qty"]), Decimal(row["price"]))
        for row in desk.rows("fills")
    ]
    yield from (f"lost fill {fill}" for fill in theirs - set(rows))
    yield from (f"fill that never was {fill}" for fill in set(rows) - theirs)
    yield from (
        f"fill {fill} is journaled {count} times" for fill, count in Counter(rows).items() if count > 1
    )
    for row in desk.rows("fills"):
        order_id = exchange.accepted[row["broker_order_id"]].order.client_order_id
        if order_id.startswith(OURS) and row["client_order_id"] != order_id:
            yield f"a fill of order {order_id} is journaled as {row['client_order_id']}'s"
    for one in _ours(exchange):
        order = desk.orders.get(one.order.client_order_id)
        theirs_qty = exchange.filled_qty(one.order.id)
        if order is not None and Decimal(order["filled_qty"]) != theirs_qty:
            yield f"order {one.order.client_order_id} filled {theirs_qty}, ours {order['filled_qty']}"


def _limits(exchange: Exchange, desk: DeskTables, it: Scenario) -> Iterator[str]:
    """No entry that the exchange took was above a limit, in what it took before."""
    limits = dict(it.limits)
    per_symbol: Counter[tuple[int, str]] = Counter()  # by day too: a scenario's past is the day before
    per_execution: Counter[str] = Counter()
    for one in sorted(_ours(exchange), key=lambda one: one.number):
        order, name = one.order, f"{one.order.symbol} order {one.order.client_order_id}"
        assert order.qty is not None
        assert order.limit_price is not None
        intent = desk.intents.get(order.client_order_id)
        if intent is None:
            continue  # told by `_duplicates`
        execution = desk.execution_of[intent["verdict_id"]]
        day = one.at_ns // DAY_NS, order.symbol
        notional = order.qty * order.limit_price
        most = Decimal(limits["max_order_notional"]) * ROUNDING
        if one.at_ns >= it.tick_ns and order.qty > 1 and notional > most:  # its past was given more
            yield f"{name}: notional {notional}"
        if order.side is Side.BUY:
            if per_symbol[day] >= limits["max_orders_per_symbol_per_day"]:
                yield f"{name}: after {per_symbol[day]} orders of the day"
            if per_execution[execution] >= limits["max_orders_per_execution"]:
                yield f"{name}: after {per_execution[execution]} orders of the execution"
            later = one.at_ns > intent["created_ns"]  # sent again: the market may have carried it above
            tolerance = Decimal("1.02") if later else Decimal(1)
            broken = [list(_above(exposure, limits, tolerance)) for exposure in one.exposures]
            if all(broken):
                yield from (f"{name}: {words}" for words in broken[0])
        per_symbol[day] += 1
        per_execution[execution] += 1


def _above(one: Exposure, limits: Mapping[str, float], tolerance: Decimal) -> Iterator[str]:
    for what, value, limit in (
        ("position", one.exposure, limits["max_position_pct"]),
        ("gross", one.gross, limits["max_gross_exposure"]),
    ):
        most = one.equity * Decimal(str(limit)) * ROUNDING + one.slack
        if value > most * tolerance:
            yield f"{what} {value} of {one.equity}, limit {limit}"


def _ledger(exchange: Exchange, desk: DeskTables, it: Scenario) -> Iterator[str]:
    """Opening entry, fills and adjustments of the desk add up to what the account has."""
    held: dict[str, Decimal] = defaultdict(Decimal)
    for row in desk.rows("opening_positions"):
        held[row["symbol"]] += Decimal(row["qty"])
    for row in desk.rows("fills"):
        quantity = row["side"] * Decimal(row["qty"])
        held[row["symbol"]] += quantity
        held[""] -= quantity * Decimal(row["price"])
    for row in desk.rows("adjustments"):
        held[row["symbol"]] += Decimal(row["qty_delta"])
        held[""] += Decimal(row["cash_delta"])
    account = exchange.state.account
    if abs(held.pop("", Decimal(0)) - account.cash) > CASH_TOLERANCE:
        yield f"cash differs: the account has {account.cash}"
    for symbol in held.keys() | account.holdings.keys():
        theirs = account.position_qty(symbol)
        if held[symbol] != theirs:
            yield f"{symbol}: the ledger has {held[symbol]}, the account {theirs}"
    yield from (
        f"open break {row['kind']} {row['subject']}"
        for row in desk.rows("breaks")
        if row["resolved_ns"] is None
    )


def _outcomes(exchange: Exchange, desk: DeskTables, it: Scenario) -> Iterator[str]:
    """Every order's outcome is known, or its symbol is locked; what works at one side works at the other."""
    locked = {symbol for symbol, *_ in desk.locks()}
    at_work = {one.order.client_order_id for one in _ours(exchange) if one.ended is None}
    for key, order in desk.orders.items():
        state, symbol = order["state"], desk.intents[key]["symbol"]
        if state in ("INTENT", "SUBMITTING"):
            yield f"order {key} was left {state}"
        elif state == "UNKNOWN" and symbol not in locked:
            yield f"order {key} is UNKNOWN and {symbol} not locked"
        elif (key in at_work) != (state in ("ACCEPTED", "PARTIALLY_FILLED", "PENDING_CANCEL")):
            there = "works" if key in at_work else "does not work"
            yield f"order {key} is {state} and {there} at the exchange"
    yield from (f"lease left behind by {row['holder']}" for row in desk.rows("leases"))


def _locks(exchange: Exchange, desk: DeskTables, evidence: Evidence) -> Iterator[str]:
    """No symbol stays locked but by a stop, or by what only a person can judge: that includes an order whose
    status nobody knows, told at two reconciliations."""
    strike = evidence.case.strike
    allowed = {"STOP": ""} | (dict(FAULTS[strike.name].locks) if strike is not None else {})
    lagged = _seen_twice(desk) if strike is not None and FAULTS[strike.name].lags else set()
    for symbol, cause, reason in desk.locks():
        if cause == "BREAK" and reason.split(":")[0] in lagged:
            continue
        if not (cause in allowed and allowed[cause] in reason) and NEVER_SEEN not in reason:
            yield f"{symbol} is still locked: {cause}: {reason}"


def _seen_twice(desk: DeskTables) -> set[str]:
    """Breaks ("kind subject") that two looks saw, and that a later one found resolved."""
    return {
        f"{row['kind']} {row['subject']}"
        for row in desk.rows("breaks")
        if row["first_ns"] < row["last_ns"] and row["resolved_ns"] is not None
    }


def _halts(exchange: Exchange, desk: DeskTables, evidence: Evidence) -> Iterator[str]:
    """The book is halted where a person killed it, and nowhere else. Then nothing is sent but what sells
    everything, where that is wanted."""
    expected = {"KILL"} if evidence.killed_from is not None else set()
    if desk.latched() - (_lost(exchange) if _may_lose(evidence, exchange) else set()) != expected:
        reasons = [row["reason"] for row in desk.rows("halts")]
        yield f"halted by {sorted(desk.latched())}, expected {sorted(expected)}: {reasons}"
    if evidence.killed_from is None:
        return
    flatten = dict(evidence.scenario.limits)["flatten_on_kill"]
    for one in _ours(exchange):
        intent = desk.intents.get(one.order.client_order_id)
        if one.number >= evidence.killed_from and not (flatten and intent and intent["kind"] == "flatten"):
            yield f"order {one.order.client_order_id} was sent after the kill"
    if flatten:
        for symbol, holding in exchange.state.account.holdings.items():
            if symbol not in _undecided(desk):
                yield f"killed, and {holding.qty} {symbol} are still held"


def _is_of_a_split(evidence: Evidence) -> bool:
    """Whether the case's fault is how the broker books or lists a split."""
    strike = evidence.case.strike
    return strike is not None and FAULTS[strike.name].split is not None


def _may_lose(evidence: Evidence, exchange: Exchange) -> bool:
    """Whether the split costs or brings the account money: where the broker announces none nobody can know
    why the equity is off, and what is traded of it before it is booked, or after it was booked early, is
    traded at the price of other shares. Else the desk knows the right equity."""
    strike, split = evidence.case.strike, evidence.scenario.split
    if strike is None or split is None or not _is_of_a_split(evidence):
        return False
    return strike.name == "split_unlisted" or any(
        one.order.symbol == split.symbol and exchange.filled_qty(one.order.id)
        for one in exchange.accepted.values()
        if one.at_ns >= evidence.scenario.tick_ns
    )


def _lost(exchange: Exchange) -> set[str]:
    """The loss breakers whose limit the account's own equity passed: prices move on a split's ex-date and
    shares when they are booked, and in between the broker's equity is off by that."""
    passed: set[str] = set()
    peak = session_peak = start = exchange.state.account.last_equity
    for at_ns, equity in exchange.equities:
        peak = max(peak, equity)
        if peak - equity >= _limit("max_drawdown") * peak:
            passed.add("MAX_DRAWDOWN")
        if at_ns <= exchange.state.account.last_equity_ns:
            continue
        session_peak = max(session_peak, equity)
        if start - equity >= _limit("max_daily_loss") * start:
            passed.add("DAILY_LOSS")
        if session_peak - equity >= _limit("session_drawdown") * session_peak:
            passed.add("SESSION_DRAWDOWN")
    return passed


def _limit(name: str) -> Decimal:
    """A limit that no scenario changes."""
    return Decimal(str(Settings.model_fields[name].default))


def _stops(exchange: Exchange, desk: DeskTables, evidence: Evidence) -> Iterator[str]:
    """A stop sells only where the market has reached it, in the shares of its ex-date."""
    for one in _ours(exchange):
        intent = desk.intents.get(one.order.client_order_id)
        if intent is None or intent["kind"] != Kind.STOP or one.at_ns < evidence.scenario.tick_ns:
            continue
        stop = (1 - _limit("stop_loss")) * one.cost
        if one.lowest_bid > stop * ROUNDING:
            symbol, lowest = one.order.symbol, one.lowest_bid
            yield f"{symbol} was sold at its stop {stop:.2f}, and the bid was never below {lowest}"


def _exits(exchange: Exchange, desk: DeskTables, evidence: Evidence) -> Iterator[str]:
    """A stop sells the position, and so does a signal to sell that was acted on, whatever was killed."""
    if evidence.killed_from is not None:
        return
    it = evidence.scenario
    bought_later = {opinion.symbol for opinion in it.later if opinion.value > 0}
    sold = {intent["symbol"] for intent in desk.intents.values() if intent["side"] == Side.SELL}
    resumed = any(kind in ("again", "next") and ended.well for kind, ended in evidence.ends)
    bought = {  # what the gate refused in the scenario's past was never held
        one.order.symbol
        for one in exchange.accepted.values()
        if one.at_ns < it.tick_ns and one.order.side is Side.BUY and exchange.filled_qty(one.order.id)
    }
    for symbol in bought.intersection(it.held):
        signalled = Opinion(symbol, -1.0) in it.signals and symbol in sold - bought_later and resumed
        left = exchange.state.account.position_qty(symbol)
        if left and (symbol in it.stopped or signalled) and symbol not in _undecided(desk):
            yield f"{symbol} was to be sold and {left} are still held"


def _undecided(desk: DeskTables) -> set[str]:
    """Symbols with an order whose outcome stayed unknown: it holds every other one back for its session."""
    return {desk.intents[key]["symbol"] for key, row in desk.orders.items() if row["state"] == "ABANDONED"}


def _rejections(exchange: Exchange, desk: DeskTables, evidence: Evidence) -> Iterator[str]:
    """The exchange had no reason to reject, unless the fault is that it does: what it refuses for want of
    shares another broker sells short."""
    strike = evidence.case.strike
    if strike is not None and FAULTS[strike.name].rejects:
        return
    split = evidence.scenario.split if _is_of_a_split(evidence) else None
    for key, order in desk.orders.items():
        if order["state"] == "REJECTED":
            intent = desk.intents[key]
            of_split = split is not None and intent["symbol"] == split.symbol
            if of_split and any(words in order["detail"] for words in NO_SHARES):
                continue  # a line has taken the shares between the look and the order
            yield f"{intent['symbol']} {intent['side']} {intent['qty']} was rejected: {order['detail']}"


def summary(evidence: Evidence) -> str:
    """One line for a person: how each run of the case ended."""
    words = []
    for kind, ended in evidence.ends:
        how = "killed" if ended.killed else ended.refused or ended.failed[-200:] or "well"
        words.append(f"{kind}: {how}")
    return "; ".join(words) + f"; scenario {json.dumps(evidence.scenario.__dict__, default=str)}"
