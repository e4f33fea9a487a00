"""What a broker says of symbols and does not change within one execution: assets, today's corporate actions.

Asked once for each symbol, however many snapshots an execution takes: a broker answers 200 requests a
minute. Quotes, positions, orders and the account are asked again each time, and do not belong here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date

from trading_assets.broker.port import (
    AssetState,
    Broker,
    BrokerError,
    CorporateActionState,
    NotFound,
    Rejected,
    Unreadable,
    unread_of,
)
from trading_assets.log import get_logger

log = get_logger(__name__)


@dataclass(slots=True)
class DayFacts:
    _assets: dict[str, AssetState] = field(default_factory=dict)
    _silent: BrokerError | None = None  # why it gave no asset
    unread_actions: list[Unreadable] = field(default_factory=list)  # of those that were asked for
    _actions: dict[tuple[str, date], list[CorporateActionState]] = field(default_factory=dict)

    def asset(self, broker: Broker, symbol: str) -> AssetState:
        """The asset. One that the broker does not know holds no other back. Raises broker.port.BrokerError; a
        broker that does not answer is not asked for the next one in the same execution."""
        if symbol not in self._assets:
            if self._silent is not None:
                raise self._silent
            try:
                self._assets[symbol] = broker.asset(symbol)
            except NotFound as error:
                log.warning("asset unknown at the broker", symbol=symbol, why=str(error))
                unknown = AssetState(symbol, tradable=False, fractionable=False, halted=False, known=False)
                self._assets[symbol] = unknown
            except Rejected:
                raise
            except BrokerError as error:
                self._silent = error
                raise
        return self._assets[symbol]

    def actions(self, broker: Broker, symbols: Collection[str], session: date) -> list[CorporateActionState]:
        """Those of the symbols that are ex on the session. Raises broker.port.BrokerError."""
        unknown = tuple(symbol for symbol in symbols if (symbol, session) not in self._actions)
        if unknown:
            told = broker.corporate_actions(unknown, session, session)
            self.unread_actions += unread_of(told)
            for symbol in unknown:
                self._actions[symbol, session] = [action for action in told if action.symbol == symbol]
        return [action for symbol in symbols for action in self._actions[symbol, session]]
