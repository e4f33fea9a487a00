"""What a broker says of symbols and does not change within one execution: assets, today's corporate actions.

Asked once, however many snapshots an execution takes and however many symbols there are: a broker answers
200 requests a minute. Quotes, positions, orders and the account are asked again each time, and do not belong
here. Where the assets are kept between the executions of a session: `engine.book.asset_list`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from trading_assets.broker.port import (
    AssetState,
    Broker,
    BrokerError,
    CorporateActionState,
    NotFound,
    Rejected,
    Unreachable,
    Unreadable,
    unread_of,
)
from trading_assets.engine.book.asset_list import AssetList
from trading_assets.log import get_logger

log = get_logger(__name__)

MOST_ASKED_ALONE = 20  # assets in one execution


@dataclass(slots=True)
class DayFacts:
    """listed: the session's assets as all of the desk's processes share them; None: this execution's own."""

    listed: AssetList | None = None
    _assets: dict[str, AssetState] | None = None  # the broker's list; None: not read yet
    _alone: dict[str, AssetState] = field(default_factory=dict)  # asked for by itself in this execution
    _asked_alone: int = 0
    _silent: BrokerError | None = None  # why it gave no asset by itself
    unread_actions: list[Unreadable] = field(default_factory=list)  # of those that were asked for
    _actions: dict[tuple[str, date], list[CorporateActionState]] = field(default_factory=dict)

    def asset(self, broker: Broker, symbol: str) -> AssetState:
        """The asset, by the broker's list of the session.

        A yes holds for the session, or until the broker rejects an order in the symbol (`doubt`): whoever is
        halted since then has no fresh quote. A no is asked again in each execution, so that none holds an
        exit for longer than it is true; and so is a symbol that the list lacks. Some 20 in an execution are:
        for the others the list's word stands. One that the broker does not know holds no other back. Raises
        broker.port.BrokerError; a broker that does not answer is not asked for the next one in the same
        execution.
        """
        if symbol in self._alone:
            return self._alone[symbol]
        listed = self._list(broker).get(symbol)
        if listed is not None and (_is_yes(listed) or self._asked_alone >= MOST_ASKED_ALONE):
            return listed
        self._alone[symbol] = asset = self._by_itself(broker, symbol)
        if listed is not None and asset.known and asset != listed:
            self._keep({symbol: asset})
        return asset

    def doubt(self, symbols: Collection[str]) -> None:
        """The broker has rejected orders in these: the next execution that needs one of them asks for it by
        itself, before it buys. Exits do not wait for that. No request is made here."""
        for symbol in symbols:
            self._alone.pop(symbol, None)
        if self._assets is None and self.listed is not None:
            self._assets = self.listed.read()
        assets = self._assets or {}
        listed = [assets[symbol] for symbol in symbols if symbol in assets]
        self._keep({asset.symbol: replace(asset, known=False) for asset in listed if _is_yes(asset)})

    def actions(self, broker: Broker, symbols: Collection[str], session: date) -> list[CorporateActionState]:
        """Those of the symbols that are ex on the session. Raises broker.port.BrokerError."""
        unknown = tuple(symbol for symbol in symbols if (symbol, session) not in self._actions)
        if unknown:
            announced = broker.corporate_actions(unknown, session, session)
            self.unread_actions += unread_of(announced)
            for symbol in unknown:
                self._actions[symbol, session] = [action for action in announced if action.symbol == symbol]
        return [action for symbol in symbols for action in self._actions[symbol, session]]

    def _list(self, broker: Broker) -> dict[str, AssetState]:
        """The session's list; empty where the broker does not give it, and asked again in the next
        execution."""
        if self._assets is None:
            self._assets = self.listed.read() if self.listed is not None else None
        if self._assets is None:
            self.read_anew(broker)
        return self._assets or {}

    def read_anew(self, broker: Broker) -> None:
        """Read the session's list from the broker whatever is kept, as is done before an open: what was kept
        may be of hours before."""
        try:
            self._assets = {asset.symbol: asset for asset in broker.assets()}
        except BrokerError as error:
            log.warning("list of assets not readable, they are asked for one by one", why=str(error))
            self._assets = {}
        self._keep({})

    def _keep(self, changed: Mapping[str, AssetState]) -> None:
        if self._assets:
            self._assets |= changed
            if self.listed is not None:
                self.listed.keep(self._assets)

    def _by_itself(self, broker: Broker, symbol: str) -> AssetState:
        unknown = AssetState(symbol, tradable=False, fractionable=False, halted=False, known=False)
        if self._silent is not None:
            raise self._silent
        if self._asked_alone >= MOST_ASKED_ALONE:
            if self._assets:
                return unknown  # the list was read and lacks it
            raise Unreachable(
                f"asset {symbol}: no list of assets, and {self._asked_alone} were asked for alone"
            )
        self._asked_alone += 1
        try:
            return broker.asset(symbol)
        except NotFound as error:
            log.warning("asset unknown at the broker", symbol=symbol, why=str(error))
            return unknown
        except Rejected:
            raise
        except BrokerError as error:
            self._silent = error
            raise


def _is_yes(asset: AssetState) -> bool:
    return asset.known and asset.tradable and not asset.halted
