"""Which operations of Alpaca's own documents the exchange answers, and why it has not the others.

An operation that is in neither table is a change of the documents: somebody has to look at it.
"""

from __future__ import annotations

IMPLEMENTED = {
    "trading-api": (
        "getAccount",
        "getAccountActivities",
        "getAccountActivitiesByActivityType",
        "getAccountConfig",
        "patchAccountConfig",
        "getAccountPortfolioHistory",
        "get-v2-assets",
        "get-v2-assets-symbol_or_asset_id",
        "LegacyCalendar",
        "LegacyClock",
        "deleteAllOrders",
        "getAllOrders",
        "postOrder",
        "deleteOrderByOrderID",
        "getOrderByOrderID",
        "patchOrderByOrderId",
        "getOrderByClientOrderId",
        "deleteAllOpenPositions",
        "getAllOpenPositions",
        "deleteOpenPosition",
        "getOpenPosition",
    ),
    "market-data-api": (
        "CorporateActions",
        "StockBarSingle",
        "StockLatestBarSingle",
        "StockLatestQuoteSingle",
        "StockSnapshotSingle",
        "StockLatestTradeSingle",
        "StockBars",
        "StockLatestBars",
        "StockLatestQuotes",
        "StockSnapshots",
        "StockLatestTrades",
    ),
}

_OTHER_ASSETS = "not US equities"
_TICKS = "history of single quotes and trades: the tape has minute bars and no ticks"

# reason → the paths, as regular expressions over the whole path
EXCLUDED = {
    "short selling is refused, so nothing is located": r"/v1/locates.*",
    "server-sent events: the desk reads /v2/account/activities": r"/v2beta1/events/activities",
    "replaced by /v1/corporate-actions": r"/v2/corporate_actions/announcements.*",
    "options: "
    + _OTHER_ASSETS: r"/v2/options/.*|/v1beta1/options/.*|/v2/positions/\{[^}]*\}/(do-not-)?exercise",
    "tokenization: " + _OTHER_ASSETS: r"/v2/tokenization/.*",
    "crypto: " + _OTHER_ASSETS: r"/v2/wallets.*|/v1beta3/crypto/.*",
    "a list of a person's, without effect on trading": r"/v2/watchlists.*",
    "the newer form of the same answers, for markets that are not here": r"/v3/.*",
    "server-sent events: the desk reads /v1/corporate-actions": r"/v1beta1/events/.*",
    "fixed income and currencies: " + _OTHER_ASSETS: r"/v1beta1/(fixed_income|forex)/.*",
    "news, logos and screeners: no prices": r"/v1beta1/(logos|news|screener).*",
    "auctions: the tape does not know them": r"/v2/stocks/(\{symbol\}/)?auctions",
    _TICKS: r"/v2/stocks/(\{symbol\}/)?(quotes|trades)",
    "codes of exchanges and conditions: the tape has none": r"/v2/stocks/meta/.*",
}

# Where a document contradicts itself: (document, path into it) → the keyword that it means. Neither schema
# of an activity forbids what it does not name, so that any answer of the list is "more than one of".
CORRECTED = {
    (
        "trading-api",
        "paths",
        "/v2/account/activities/{activity_type}",
        "get",
        "responses",
        "200",
        "content",
        "application/json",
        "schema",
        "items",
    ): ("oneOf", "anyOf"),
}

# Members of a request's body that make nearly every order one that the exchange refuses (legs, options)
SELDOM = (
    "advanced_instructions",
    "extended_hours",
    "legs",
    "notional",
    "position_intent",
    "stop_loss",
    "stop_price",
    "take_profit",
    "trail",
    "trail_percent",
    "trail_price",
)

# Members that an order of shares cannot be without; the document leaves them optional for orders with legs
NEEDED = {"postOrder": ("limit_price", "qty", "side", "symbol")}
