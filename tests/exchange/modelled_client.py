"""alpaca-py's client as one that was not asked for raw data answers: with its models, and nothing else."""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from alpaca.trading.client import TradingClient
from alpaca.trading.models import (
    AccountConfiguration,
    Asset,
    Calendar,
    Clock,
    ClosePositionResponse,
    Order,
    PortfolioHistory,
    Position,
    TradeAccount,
)
from alpaca.trading.requests import (
    CancelOrderResponse,
    ClosePositionRequest,
    GetAssetsRequest,
    GetCalendarRequest,
    GetOrderByIdRequest,
    GetOrdersRequest,
    GetPortfolioHistoryRequest,
    OrderRequest,
    ReplaceOrderRequest,
)

M = TypeVar("M")


def one(answer: object, model: type[M]) -> M:
    assert isinstance(answer, model), answer
    return answer


def several(answer: object, model: type[M]) -> list[M]:
    assert isinstance(answer, list), answer
    return [one(item, model) for item in answer]


class ModelledClient(TradingClient):
    """The client itself; each method is its own and says which of two answers it gives."""

    def submit_order(self, order_data: OrderRequest) -> Order:
        return one(super().submit_order(order_data), Order)

    def get_orders(self, filter: GetOrdersRequest | None = None) -> list[Order]:  # noqa: A002 - the client's word
        return several(super().get_orders(filter), Order)

    def get_order_by_id(
        self,
        order_id: UUID | str,
        filter: GetOrderByIdRequest | None = None,  # noqa: A002 - the client's word
    ) -> Order:
        return one(super().get_order_by_id(order_id, filter), Order)

    def get_order_by_client_id(self, client_id: str) -> Order:
        return one(super().get_order_by_client_id(client_id), Order)

    def replace_order_by_id(
        self, order_id: UUID | str, order_data: ReplaceOrderRequest | None = None
    ) -> Order:
        return one(super().replace_order_by_id(order_id, order_data), Order)

    def cancel_orders(self) -> list[CancelOrderResponse]:
        return several(super().cancel_orders(), CancelOrderResponse)

    def get_all_positions(self) -> list[Position]:
        return several(super().get_all_positions(), Position)

    def close_all_positions(self, cancel_orders: bool | None = None) -> list[ClosePositionResponse]:
        return several(super().close_all_positions(cancel_orders), ClosePositionResponse)

    def get_open_position(self, symbol_or_asset_id: UUID | str) -> Position:
        return one(super().get_open_position(symbol_or_asset_id), Position)

    def close_position(
        self, symbol_or_asset_id: UUID | str, close_options: ClosePositionRequest | None = None
    ) -> Order:
        return one(super().close_position(symbol_or_asset_id, close_options), Order)

    def get_portfolio_history(
        self, history_filter: GetPortfolioHistoryRequest | None = None
    ) -> PortfolioHistory:
        return one(super().get_portfolio_history(history_filter), PortfolioHistory)

    def get_all_assets(self, filter: GetAssetsRequest | None = None) -> list[Asset]:  # noqa: A002 - as above
        return several(super().get_all_assets(filter), Asset)

    def get_asset(self, symbol_or_asset_id: UUID | str) -> Asset:
        return one(super().get_asset(symbol_or_asset_id), Asset)

    def get_clock(self) -> Clock:
        return one(super().get_clock(), Clock)

    def get_calendar(self, filters: GetCalendarRequest | None = None) -> list[Calendar]:
        return several(super().get_calendar(filters), Calendar)

    def get_account(self) -> TradeAccount:
        return one(super().get_account(), TradeAccount)

    def get_account_configurations(self) -> AccountConfiguration:
        return one(super().get_account_configurations(), AccountConfiguration)

    def set_account_configurations(
        self, account_configurations: AccountConfiguration
    ) -> AccountConfiguration:
        return one(super().set_account_configurations(account_configurations), AccountConfiguration)


def stated(figure: str | float | None) -> float:
    """A figure that alpaca's model may leave out, and that has to be there."""
    assert figure is not None
    return float(figure)
