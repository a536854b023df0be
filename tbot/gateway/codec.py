"""Everything about the broker's JSON in one place to import from. Only files named codec*.py know its field names.

* `codec_values`  scalars: ISO times to ns, decimals, cents, ids
* `codec_tables`  enums, calls with their error codes (what an answer proves: `outcomes`)
* `codec_market`  market hub: MarketDecoder, QuoteBook; encoders for the simulator
* `codec_depth`   market hub: DepthDecoder, DepthBook
* `codec_checks`  what both of them check alike
* `codec_models`  account, contract, order, position, trade and bar records, both directions
* `codec_hub`     user-hub events, both directions
* `codec_rest`    request bodies and answers, both directions
* `codec_bars`    the history answer straight from an array
* `codec_domain`  records to the engine's messages, commands to requests, ContractBook
"""

from tbot.gateway.codec_bars import encode_bars
from tbot.gateway.codec_depth import DepthBook, DepthDecoder, depth_subscriptions
from tbot.gateway.codec_domain import (
    ContractBook,
    account_update,
    bars_array,
    broker_bars,
    broker_contract,
    fill,
    order_update,
    position_update,
    resolve,
)
from tbot.gateway.codec_hub import decode_user, is_user_target, user_event, user_subscriptions
from tbot.gateway.codec_market import (
    LOGOUT_TARGET,
    Batch,
    MarketDecoder,
    QuoteBook,
    TickTuple,
    depth_event,
    logout_event,
    market_subscriptions,
    quote_event,
    trades_event,
)
from tbot.gateway.codec_models import (
    BrokerAccount,
    BrokerBar,
    BrokerContract,
    BrokerOrder,
    BrokerPosition,
    BrokerTrade,
)
from tbot.gateway.codec_rest import Answer, BadRequest, ClockReading, decode_answer, decode_request, encode_answer
from tbot.gateway.codec_tables import BarUnit, Call, DomType, OrderState, OrderType, PositionType, UserAction
from tbot.gateway.codec_values import cents, format_time, parse_time

__all__ = [
    "LOGOUT_TARGET",
    "Answer",
    "BadRequest",
    "BarUnit",
    "Batch",
    "BrokerAccount",
    "BrokerBar",
    "BrokerContract",
    "BrokerOrder",
    "BrokerPosition",
    "BrokerTrade",
    "Call",
    "ClockReading",
    "ContractBook",
    "DepthBook",
    "DepthDecoder",
    "DomType",
    "MarketDecoder",
    "OrderState",
    "OrderType",
    "PositionType",
    "QuoteBook",
    "TickTuple",
    "UserAction",
    "account_update",
    "bars_array",
    "broker_bars",
    "broker_contract",
    "cents",
    "decode_answer",
    "decode_request",
    "decode_user",
    "depth_event",
    "depth_subscriptions",
    "encode_answer",
    "encode_bars",
    "fill",
    "format_time",
    "is_user_target",
    "logout_event",
    "market_subscriptions",
    "order_update",
    "parse_time",
    "position_update",
    "quote_event",
    "resolve",
    "trades_event",
    "user_event",
    "user_subscriptions",
]
