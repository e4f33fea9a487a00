"""What a broker says of symbols and does not change within one execution: assets, today's corporate actions.

Asked once for each symbol, however many snapshots an execution takes: a broker answers 200 requests a
minute. Quotes, positions, orders and the account are asked again each time, and do not belong here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date

from trading_assets.broker.port import AssetState, Broker, CorporateActionState, NotFound
from trading_assets.log import get_logger

log = get_logger(__name__)


@dataclass(slots=True)
class DayFacts:
    _assets: dict[str, AssetState] = field(default_factory=dict)
    _actions: dict[tuple[str, date], list[CorporateActionState]] = field(default_factory=dict)

    def asset(self, broker: Broker, symbol: str) -> AssetState:
        """The asset. One that the broker does not know cannot be traded, and holds no other back. Raises
        broker.port.BrokerError."""
        if symbol not in self._assets:
            try:
                self._assets[symbol] = broker.asset(symbol)
            except NotFound as error:
                log.warning("asset unknown at the broker", symbol=symbol, why=str(error))
                self._assets[symbol] = AssetState(symbol, tradable=False, fractionable=False, halted=False)
        return self._assets[symbol]

    def actions(self, broker: Broker, symbols: Collection[str], session: date) -> list[CorporateActionState]:
        """Those of the symbols that are ex on the session. Raises broker.port.BrokerError."""
        unknown = tuple(symbol for symbol in symbols if (symbol, session) not in self._actions)
        if unknown:
            told = broker.corporate_actions(unknown, session, session)
            for symbol in unknown:
                self._actions[symbol, session] = [action for action in told if action.symbol == symbol]
        return [action for symbol in symbols for action in self._actions[symbol, session]]
