"""Reading the broker and the journal once, into the full input of one decision.

What is read here and only that reaches `engine.decision.decide`; the caller stores it before deciding. The
positions are needed by everything: "unknown" is never "flat". What else cannot be read is missing in the
input, where the gate refuses entries for it, and has a stand-in for exits (`engine.evidence.reads`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from math import nan

from trading_assets.broker.port import (
    US_EQUITY,
    AccountState,
    AssetState,
    OrderState,
    PositionState,
    QuoteState,
    Rows,
    Unreadable,
)
from trading_assets.core.codes import CODE_COUNT
from trading_assets.core.orders import Kind
from trading_assets.core.words import Side
from trading_assets.engine.book.accounting import ledger_of, sales_since
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import REARMED_MARK, Cause
from trading_assets.engine.decision.inputs import (
    RULES,
    VERSION,
    DecisionInput,
    ForcedExit,
    Phase,
    SignalInput,
    SymbolInput,
)
from trading_assets.engine.evidence.ex_dates import adjusted_close, shown_today
from trading_assets.engine.evidence.reads import EXITS, Look, Read, by_class
from trading_assets.engine.evidence.replacements import replacement_at_work
from trading_assets.engine.evidence.share_costs import spun_off
from trading_assets.engine.evidence.unlisted_fills import unlisted_fills, unlisted_proceeds_usd
from trading_assets.engine.orders.submit import has_no_news, remaining
from trading_assets.engine.reconciliation.transient_causes import broker_clock, is_blocked
from trading_assets.log import get_logger
from trading_assets.market.sessions import new_york_midnight_ns
from trading_assets.market.settlement import LONGEST_DAYS, Sale, unsettled_usd
from trading_assets.store.journal import SentCount
from trading_assets.store.records import OrderRecord

log = get_logger(__name__)

NINE_DECIMALS = Decimal("1e-9")
GAP_TOLERANCE = Decimal("1e-6")  # shares, as reconciliation compares them
OPTION_MULTIPLIER = 100  # shares a contract
LAG_NS = 60 * 10**9  # in which the broker's positions may not show yet what was filled


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An open order as exposure sees it, ours or a person's."""

    symbol: str
    side: int
    leaves: Decimal
    limit_price: Decimal | None
    reducing: bool
    ours: bool
    traded: bool = True  # False: of no symbol that has a quote and an asset here


def take_snapshot(
    desk: Desk,
    session: date,
    tick_ns: int,
    execution_id: str,
    phase: Phase,
    *,
    signals: Sequence[SignalInput] = (),
    forced_exits: Sequence[ForcedExit] = (),
    transient: tuple[Cause, ...] = (),
    execution_orders: int = 0,
) -> DecisionInput:
    """Account, positions, open orders and quotes from the broker, activity and halts from the journal.

    Raises broker.port.BrokerError when the positions cannot be read. Without the rest, or a row of it,
    entries are vetoed and exits go on.
    """
    sight = Look(desk)
    clock = broker_clock(desk)
    account = sight.read(Read.ACCOUNT, desk.broker.account)
    account_ns = desk.now_ns() if account is not None else 0
    held = sight.read(Read.POSITIONS, desk.broker.positions)
    sight.require(*EXITS)
    positions, others = by_class(sight.rows(Read.POSITIONS, () if held is None else held))
    ours = desk.journal.open_orders(desk.book)
    flattening = any(forced.kind == Kind.FLATTEN for forced in forced_exits)
    if flattening:  # what the broker calls free is sold, whatever became of these
        ours = [record for record in ours if not has_no_news(record, desk.now_ns())]
    sent = desk.journal.orders(desk.book, session=session.isoformat())
    listed = sight.read(Read.OPEN_ORDERS, desk.broker.open_orders)
    at_broker = () if listed is None else sight.rows(Read.OPEN_ORDERS, listed)
    late = lagging(desk, sent, positions)
    opened = _open_orders(ours, at_broker) + late
    if listed is None or flattening:
        opened += _held_by_unlisted(positions, opened)
    traded = (
        {signal.symbol for signal in signals}
        | {forced.symbol for forced in forced_exits}
        | positions.keys()
        | {order.symbol for order in opened if order.traded}
    )
    opened += _exposures_of_others(others, [row for _, row in sight.unread])
    symbols = tuple(sorted(traded | {order.symbol for order in opened}))
    quotes = sight.quotes(sorted(traded))
    assets = sight.assets(sorted(traded))
    previous = _previous_closes(desk, session, quotes, sight, phase)
    counts = desk.journal.sent_counts(desk.book, session.isoformat())
    locks = {record.symbol for record in desk.journal.locks(desk.book)}
    if phase is Phase.ENTRIES:
        locks |= _apart(desk, sent, positions, late)
    transient = (*transient, *_waiting(clock is not None, account, sight))
    halts = desk.halts().with_transient(tuple(dict.fromkeys(transient)))
    now_ns = desk.now_ns()
    extended = desk.settings.extended_hours and desk.sessions.is_extended(now_ns)
    calendar_open = extended or desk.sessions.is_open(now_ns)
    views = tuple(
        _symbol_input(
            symbol,
            position=positions.get(symbol),
            asset=assets.get(symbol),
            quote=quotes.get(symbol),
            previous_close=previous.get(symbol, nan),
            opened=[order for order in opened if order.symbol == symbol],
            locked=symbol in locks,
            sent=counts.get(symbol, SentCount()),
            phase=phase,
        )
        for symbol in symbols
    )
    return DecisionInput(
        book=desk.book,
        session=session.isoformat(),
        tick_ns=tick_ns,
        execution_id=execution_id,
        phase=phase,
        now_ns=now_ns,
        equity_usd=float(account.equity) if account is not None else nan,
        buying_power_usd=_buying_power(account, ours),
        settled_cash_usd=_settled_cash(desk, account, views),
        account_ns=account_ns,
        multiplier=_number(account.multiplier if account is not None else None),
        non_marginable_buying_power_usd=_number(
            account.non_marginable_buying_power if account is not None else None
        ),
        open_ns=desk.sessions.open_ns(session),
        close_ns=desk.sessions.close_ns(session),
        calendar_open=calendar_open,
        # without the broker's word the calendar's holds, for exits alone: entries are vetoed
        broker_open=calendar_open
        if clock is None
        else extended or clock.state.is_open,  # the broker's clock knows regular hours only
        halt_state=int(halts.state),
        halt_causes=tuple(str(cause) for cause in halts.causes),
        # An exit needs no comparison of books: what is reserved says the snapshot itself.
        reconciling=not (desk.reconciled if phase is Phase.ENTRIES else desk.journal.opening(desk.book)),
        orders_today=sum(sum(count) for count in counts.values()),
        execution_orders=execution_orders,
        exit_orders_today=sum(count.exits for count in counts.values()),
        reject_streak=desk.journal.reject_streak(
            desk.book, since_ns=int(desk.journal.mark(desk.book, REARMED_MARK) or 0)
        ),
        symbols=views,
        signals=tuple(signals),
        forced_exits=tuple(forced_exits),
        sent_ids=tuple(record.intent.client_order_id for record in sent),
        limits=desk.limits,
        rules=RULES,
        version=VERSION,
        codes=CODE_COUNT,
    )


def settled_cash(desk: Desk, account: AccountState) -> Decimal:
    """USD that may be spent without borrowing: the broker's cash; in an account of multiplier 1 less what
    sales will bring that settle after today, those of ours included that the broker does not list yet."""
    if account.multiplier != 1:
        return account.settled_cash
    today = desk.today()
    since_ns = new_york_midnight_ns(today - timedelta(days=LONGEST_DAYS))
    sales = sales_since(desk.journal, desk.book, since_ns)
    sent = desk.journal.orders(desk.book, session=today.isoformat())
    unlisted = Sale(today, unlisted_proceeds_usd(desk, sent))
    return account.settled_cash - unsettled_usd(desk.sessions, [*sales, unlisted], today)


def _open_orders(ours: Sequence[OrderRecord], at_broker: Iterable[OrderState]) -> list[OpenOrder]:
    """Ours by the journal (INTENT, SUBMITTING and UNKNOWN count as open), but what a person replaced with the
    quantity and price that it has now. By the broker a person's, and what has ended here and works there."""
    at_broker = list(at_broker)
    opened: list[OpenOrder] = []
    counted = {record.intent.client_order_id for record in ours}
    for record in ours:
        leaves: Decimal = remaining(record)
        limit_price: Decimal | None = record.intent.limit_price
        replacement = replacement_at_work(record, at_broker)
        if replacement is not None:
            counted.add(replacement.client_order_id)
            leaves, limit_price = replacement.qty - replacement.filled_qty, replacement.limit_price
        intent = record.intent
        opened.append(OpenOrder(intent.symbol, intent.side, leaves, limit_price, intent.reducing, ours=True))
    return opened + [
        OpenOrder(
            order.symbol,
            order.side,
            (order.qty - order.filled_qty) * (OPTION_MULTIPLIER if order.asset_class == "us_option" else 1),
            order.limit_price,
            reducing=order.side == Side.SELL and order.asset_class == US_EQUITY,
            ours=False,
            traded=order.asset_class == US_EQUITY,
        )
        for order in at_broker
        if order.client_order_id not in counted
    ]


def _held_by_unlisted(positions: Mapping[str, PositionState], opened: Sequence[OpenOrder]) -> list[OpenOrder]:
    """What the broker does not call available, beyond what our own orders hold: the orders that hold it could
    not be listed."""
    orders = []
    for symbol, position in positions.items():
        ours = sum(
            (order.leaves for order in opened if order.symbol == symbol and order.reducing), Decimal(0)
        )
        held = abs(position.qty) - abs(position.available) - ours
        if held > 0:
            side = Side.SELL if position.qty > 0 else Side.BUY
            orders.append(OpenOrder(symbol, side, held, None, reducing=True, ours=False))
    return orders


def _exposures_of_others(others: Iterable[PositionState], unread: Iterable[Unreadable]) -> list[OpenOrder]:
    """What the account holds of other classes, and what persons' orders that cannot be read may add, in USD
    at 1: exposure that no order of ours can change. Without a value it is unknown, and refuses entries."""
    held = [(one.symbol, one.market_value) for one in others]
    added = [(row.symbol or row.subject, row.exposure_usd) for row in unread if row.exposure_usd]
    return [
        OpenOrder(
            symbol,
            Side.BUY,
            Decimal(1),
            None if usd is None else abs(usd),
            reducing=False,
            ours=False,
            traded=False,
        )
        for symbol, usd in held + added
    ]


def _waiting(clock_read: bool, account: AccountState | None, sight: Look) -> Iterable[Cause]:
    """Why entries wait, by what this snapshot read."""
    if not clock_read:
        yield Cause.BROKER_UNREACHABLE
    if account is not None and is_blocked(account):
        yield Cause.ACCOUNT_BLOCKED
    yield from sight.causes


def lagging(
    desk: Desk, sent: Sequence[OrderRecord], positions: Mapping[str, PositionState]
) -> list[OpenOrder]:
    """What today's orders have filled and the broker's positions do not show yet, as if it were still at
    work: no exit sells it a second time, no entry comes on top of it unseen.

    Only what an order of the last minute explains: a difference that stays is one of the books, and holds
    no share back. The broker's quantity is sold.
    """
    now = desk.now_ns()
    moved: dict[tuple[str, int], Decimal] = defaultdict(Decimal)
    for record in sent:
        if record.filled_qty and now - record.updated_ns < LAG_NS:
            moved[record.intent.symbol, record.intent.side] += record.filled_qty
    if not moved:
        return []
    behind = []
    for symbol, gap in gaps(desk, sent, positions).items():
        side = Side.BUY if gap > 0 else Side.SELL
        leaves = min(abs(gap), moved[symbol, side])  # what no order explains is a break
        if leaves:
            log.warning("position lags behind fills", symbol=symbol, side=side.name, qty=str(leaves))
            behind.append(OpenOrder(symbol, side, leaves, None, reducing=side is Side.SELL, ours=False))
    return behind


def gaps(
    desk: Desk, sent: Sequence[OrderRecord], positions: Mapping[str, PositionState]
) -> dict[str, Decimal]:
    """What our books hold of each symbol above what the broker shows, signed shares, where these differ.

    sent: the session's orders: what they have filled counts before its activities are journaled
    """
    ours: dict[str, Decimal] = defaultdict(Decimal)
    for symbol, holding in ledger_of(desk.journal, desk.book).holdings.items():
        ours[symbol] = Decimal(repr(holding.qty))
    for one in unlisted_fills(desk, sent):
        ours[one.order.intent.symbol] += one.order.intent.side * one.qty
    by_symbol = {}
    for symbol in sorted(ours.keys() | positions.keys()):
        shown = positions[symbol].qty if symbol in positions else Decimal(0)
        gap = (ours[symbol] - shown).quantize(NINE_DECIMALS)
        if abs(gap) > GAP_TOLERANCE:
            by_symbol[symbol] = gap
    return by_symbol


def _apart(
    desk: Desk,
    sent: Sequence[OrderRecord],
    positions: Mapping[str, PositionState],
    late: Iterable[OpenOrder],
) -> set[str]:
    """Symbols of which books and broker hold different quantities that no order of the last minute explains:
    nothing is bought of them on one list's word, before a break has its second sighting."""
    explained: dict[str, Decimal] = defaultdict(Decimal)
    for order in late:
        explained[order.symbol] += order.side * order.leaves
    return {symbol for symbol, gap in gaps(desk, sent, positions).items() if gap != explained[symbol]}


def _unconfirmed_usd(ours: Sequence[OrderRecord]) -> Decimal:
    """What our entries may take that the broker has not confirmed, and may not have reserved."""
    return sum(
        (
            remaining(record) * record.intent.limit_price
            for record in ours
            if record.broker_order_id is None and not record.intent.reducing
        ),
        Decimal(0),
    )


def _buying_power(account: AccountState | None, ours: Sequence[OrderRecord]) -> float:
    return nan if account is None else float(account.buying_power) - float(_unconfirmed_usd(ours))


def _settled_cash(desk: Desk, account: AccountState | None, views: Sequence[SymbolInput]) -> float:
    if account is None:
        return nan
    return float(settled_cash(desk, account)) - sum(view.open_entry_usd for view in views)


def _symbol_input(
    symbol: str,
    *,
    position: PositionState | None,
    asset: AssetState | None,
    quote: QuoteState | None,
    previous_close: float,
    opened: list[OpenOrder],
    locked: bool,
    sent: SentCount,
    phase: Phase,
) -> SymbolInput:
    qty = position.qty if position is not None else Decimal(0)
    if asset is None or not asset.known:
        # Whether it may be bought is not known; what is held is sold, and its fraction with it.
        fraction = qty != qty.to_integral_value()
        asset = AssetState(symbol, phase is not Phase.ENTRIES, fraction, halted=False)
    entries = [order for order in opened if not order.reducing]
    own = [order for order in opened if order.ours]
    sells = [float(order.limit_price) for order in own if order.side == Side.SELL and order.limit_price]
    buys = [float(order.limit_price) for order in own if order.side == Side.BUY and order.limit_price]
    last = _last_price(quote, position, previous_close)
    return SymbolInput(
        symbol=symbol,
        qty=float(qty),
        reserved_qty=float(sum((order.leaves for order in opened if order.reducing), Decimal(0))),
        open_entry_usd=sum(float(order.leaves) * _price(order, last) for order in entries),
        bid=_number(quote.bid if quote else None),
        ask=_number(quote.ask if quote else None),
        quote_ns=quote.quote_ns if quote and quote.quote_ns is not None else 0,
        last_trade=last,
        previous_close=previous_close,
        tradable=asset.tradable,
        fractionable=asset.fractionable,
        halted=asset.halted,
        locked=locked,
        in_flight=len(own),
        lowest_sell_limit=min(sells, default=nan),
        highest_buy_limit=max(buys, default=nan),
        orders_today=sum(sent),
        exits_today=sent.exits,
    )


def _price(order: OpenOrder, last_trade: float) -> float:
    """The limit, or for a person's market order the last trade (NaN fails closed at the gate)."""
    return float(order.limit_price) if order.limit_price is not None else last_trade


def _last_price(quote: QuoteState | None, position: PositionState | None, previous_close: float) -> float:
    """The last trade; where there is none, the side of the quote that stands alone, the last close, the
    broker's mark."""
    if quote is not None and (price := quote.last_trade or quote.bid or quote.ask):
        return float(price)
    if previous_close > 0:
        return previous_close
    if position is None:
        return nan
    return _number(position.current_price or position.last_close)


def _previous_closes(
    desk: Desk, session: date, quotes: Mapping[str, QuoteState], sight: Look, phase: Phase
) -> dict[str, float]:
    """Yesterday's raw closes, adjusted for today's split, dividend, capital gain and spin-off where these are
    true (`engine.evidence.ex_dates`). Where they cannot be read entries have none; for exits the raw close
    stands."""
    closes = {symbol: _number(quote.previous_close) for symbol, quote in quotes.items()}
    if not closes:
        return closes
    actions = sight.read(Read.CORPORATE_ACTIONS, lambda: desk.facts.actions(desk.broker, closes, session))
    unread = desk.facts.unread_actions
    sight.rows(Read.CORPORATE_ACTIONS, Rows.of((), unread))
    parts = spun_off(desk, actions or (), session)
    for action in shown_today(desk, actions or (), parts, quotes):
        closes[action.symbol] = adjusted_close(action, parts, closes[action.symbol])
    if phase is Phase.ENTRIES:
        unknown = closes.keys() if actions is None else {row.symbol for row in unread}
        closes |= dict.fromkeys(closes.keys() & unknown, nan)
    return closes


def _number(value: Decimal | None) -> float:
    return nan if value is None else float(value)
