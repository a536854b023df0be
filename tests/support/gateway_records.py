"""Gateway records for tests: one of each kind."""

from decimal import Decimal

from tbot.gateway.codec_models import (
    BrokerAccount,
    BrokerBar,
    BrokerContract,
    BrokerOrder,
    BrokerPosition,
    BrokerTrade,
)
from tbot.gateway.codec_values import parse_time

ID = "CON.F.US.MNQ.Z26"
NOW = parse_time("2026-11-20T15:25:02.156730+00:00")
ORDER = BrokerOrder(
    order_id=3425714842,
    account_id=1001,
    broker_id=ID,
    created_ns=NOW,
    updated_ns=NOW,
    status=1,
    type=4,
    side=-1,
    size=2,
    filled=1,
    limit_price=None,
    stop_price=Decimal("25094.5"),
    filled_price=Decimal("25094.25"),
    tag="tb-SL",
    trail_ticks=-40,
    trail_price=Decimal("-10.0"),
    parent_id=3425714841,
    linked_id=3425714843,
)
ACCOUNT = BrokerAccount(1001, "50KTC-V2-000001-00000001", 4_999_939, True, True, True)
CONTRACT = BrokerContract(
    ID, "MNQZ6", "Micro E-mini Nasdaq-100: December 2026", Decimal("0.25"), Decimal("0.5"), True, "F.US.MNQ"
)
POSITION = BrokerPosition(825245547, 1001, ID, NOW, -3, Decimal("25104.333333333"), "MNQZ26")
TRADE = BrokerTrade(
    trade_id=3004518356,
    account_id=1001,
    broker_id=ID,
    created_ns=NOW,
    price=Decimal("25104.5"),
    pnl=Decimal("6.5"),
    fees=Decimal("0.36"),
    commissions=Decimal("0.25"),
    side=1,
    size=1,
    voided=False,
    order_id=3425714841,
)
BAR = BrokerBar(
    start_ns=NOW // 60_000_000_000 * 60_000_000_000,
    open=Decimal(10),
    high=Decimal("12.25"),
    low=Decimal("9.5"),
    close=Decimal(11),
    volume=148,
)
