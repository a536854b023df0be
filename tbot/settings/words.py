"""What each option means, in a user's words; a test keeps the keys equal to the structs'.

`unit` stands behind the value, `low` and `high` are the ends that the struct accepts (those of [risk] stand in
`tbot.risk.limits.BOUNDS`), `choices` the only texts. A test tries every end and a neighbour of every choice.
"""

from dataclasses import dataclass

from tbot.context.news_settings import FETCH, IMPACT_ACTIONS, POLICIES
from tbot.domain.timeframes import TIMEFRAMES_MIN
from tbot.engine.log_settings import LEVELS
from tbot.execution.fill_model import MAX_LATENCY_NS
from tbot.strategy.dollar import FILTERS, STALE_POLICIES
from tbot.strategy.learning_settings import MODES


@dataclass(frozen=True, slots=True)
class Word:
    """The meaning of one option."""

    text: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str | int, ...] = ()


SECTIONS = {
    "engine": "What runs: contracts, processes, and what happens at the end.",
    "gateway": "Which gateway is traded against. Empty: the embedded one, with its synthetic market.",
    "accounts": "One table [[accounts]] for each account that may be traded, at most three. Needed for --live.",
    "strategy": "What counts as a setup, and where stop and target go.",
    "risk": "What binds every trade. Limits may be tighter than the defaults where the range ends there, never looser.",
    "fills": "How simulated orders fill, on paper and on past data. Left out: careful defaults of each.",
    "news": "Scheduled news: where they come from, and what happens to entries around them.",
    "dxy": "The dollar index as a filter, made from the five currency futures of the gateway or of the data.",
    "notify": "Messages to your phone or mail. Where they go is a secret and stands elsewhere: docs/notify.md.",
    "learning": "Whether and how fast past outcomes of patterns move the score (docs/learning.md).",
    "report": "What a running engine does about the report of a week (docs/report.md).",
    "log": "The log of a run: JSON lines in its state folder (docs/operating.md).",
}

_SMALLER = "An account may have a smaller one of its own."

WORDS: dict[str, Word] = {
    # ---------------------------------------------------------------------------------------------------- engine
    "engine.contracts": Word("Contracts to trade, such as MNQ and ES."),
    "engine.workers": Word("Processes that share the contracts; 0 is one process for each contract.", low=0, high=64),
    "engine.wait": Word(
        "How a worker waits for ticks: futex sleeps until it is called (Linux), poll looks again and again, spin never "
        "sleeps and takes a whole core.",
        choices=("futex", "poll", "spin"),
    ),
    "engine.on_exit": Word(
        "What Ctrl-C does with open positions: close them, or leave them with their stops at the broker.",
        choices=("flatten", "hold"),
    ),
    "engine.history_days": Word("Days of 1m history that are fetched at the start.", "days", 0, 14),
    "engine.limits_override": Word(
        "File with limits that the firm announced for a while; empty: limits_override.toml in TBOT_HOME, if there."
    ),
    "engine.sessions": Word(
        "File with holidays and session rows of your own; empty: sessions.toml in TBOT_HOME, if there."
    ),
    # --------------------------------------------------------------------------------------------------- gateway
    "gateway.rest": Word("Address of the gateway, such as https://api.topstepx.com; empty: the embedded one."),
    "gateway.user_hub": Word("Address of the user hub; empty: hubs/user below `rest`."),
    "gateway.market_hub": Word("Address of the market hub; empty: hubs/market below `rest`."),
    "gateway.credentials_file": Word(
        "A file of mode 0600 that holds TBOT_USERNAME and TBOT_API_KEY. The login itself never stands in the settings."
    ),
    # -------------------------------------------------------------------------------------------------- accounts
    "accounts.id": Word("The account's number, as `tbot accounts` lists it."),
    "accounts.name": Word("The account's name, as `tbot accounts` lists it."),
    "accounts.plan": Word("Its size at the firm.", choices=("50K", "100K", "150K")),
    "accounts.stage": Word("Its stage at the firm.", choices=("practice", "combine", "funded")),
    "accounts.contracts": Word("The contracts that it trades; empty: all of the run."),
    "accounts.floor_usd": Word(
        "The loss floor as the firm's dashboard shows it today; the gateway does not tell it.", "USD"
    ),
    "accounts.since": Word(
        "First trading day of its present life, such as 2026-11-02; trades before it do not count. Empty: all count."
    ),
    "accounts.daily_limit": Word("Whether it was bought with the firm's own daily loss limit."),
    "accounts.risk": Word("Limits as in [risk] for this account alone: tighter ones, never looser."),
    # -------------------------------------------------------------------------------------------------- strategy
    "strategy.entry_timeframe_min": Word("Bars whose close decides about an entry.", "min", choices=TIMEFRAMES_MIN),
    "strategy.zone_timeframes_min": Word("Timeframes whose zones are traded: of 5, 15, 30 and 60.", "min"),
    "strategy.min_score": Word("Least score of a setup.", "points", 0, 100),
    "strategy.max_tests": Word("How often a zone may be tested and still be traded; 1 is the first test only.", low=1),
    "strategy.trigger_bars": Word("Bars after the test in which a trigger counts.", "bars", 0),
    "strategy.min_rr": Word("Least distance of the target, in units of the stop's distance."),
    "strategy.default_rr": Word("The target, in the same units, when no opposing level lies far enough."),
    "strategy.stop_atr": Word("How far the stop lies beyond the zone.", "ATR of the zone", 0),
    "strategy.stop_min_ticks": Word("And at least so many ticks.", "ticks", 0),
    "strategy.confluence_atr": Word("How near a zone, level or pool must be to count as a neighbour.", "ATR", 0),
    "strategy.confluence_full": Word("So many neighbours give the full share of the score.", low=1),
    "strategy.cost_multiple": Word("The target must be worth this many times the costs of the trade.", low=0),
    "strategy.round_step_points": Word("Points between round numbers that count as levels: { MNQ = 50, ES = 0 }."),
    "strategy.detector": Word('Parameters of the detectors by timeframe: { "1h" = { L = 4 } } (docs/patterns.md).'),
    # ------------------------------------------------------------------------------------------------------ risk
    "risk.daily_loss_cents": Word(
        f"Most that may be lost in a trading day, fees included; then everything is closed until 17:00 Chicago. "
        f"{_SMALLER}",
        "cents",
    ),
    "risk.loss_reserve_ticks": Word("Kept back for the exit of each open contract, besides its fees.", "ticks"),
    "risk.consecutive_losses": Word("After so many losing trades in a row nothing is opened that day."),
    "risk.risk_per_trade_cents": Word("Most that a trade may lose at its stop; the size follows from it.", "cents"),
    "risk.max_micros": Word("Most contracts of a micro (MNQ, MES, MGC), for each product."),
    "risk.max_minis": Word("Most contracts of a mini (NQ, ES, GC), for each product."),
    "risk.max_account_micros": Word("Most of all products together; a mini counts as ten micros."),
    "risk.slip_ticks": Word("Slippage that is expected of every stop when the size is chosen.", "ticks"),
    "risk.min_bracket_ticks": Word("Least distance of stop and target.", "ticks"),
    "risk.collar_ticks": Word("A price farther from the market than this is refused.", "ticks"),
    "risk.collar_bp": Word("And so is one farther than this share of the price.", "hundredths of a percent"),
    "risk.min_target_cost_ratio": Word("The target must be worth this many times the costs of the trade."),
    "risk.break_even_percent": Word(
        "The stop moves to the entry once the trade has gained this share of its risk; 0: never.", "%"
    ),
    "risk.trail_percent": Word("The stop follows the market at this share of its first distance; 0: never.", "%"),
    "risk.trail_step_ticks": Word("Least step of a stop that follows.", "ticks"),
    "risk.signal_ttl_ns": Word("A signal older than this is not traded.", "ns"),
    "risk.quote_ban_ns": Word("Without a price for so long, nothing is opened.", "ns"),
    "risk.quote_stale_ns": Word("Without a price for so long, the contract counts as stale.", "ns"),
    "risk.blind_hold_ns": Word("A position without a price for so long is closed.", "ns"),
    "risk.entry_gap_ns": Word("Least time between two entries in one contract.", "ns"),
    "risk.entries_per_minute": Word("Most entries of an account in a minute."),
    "risk.entries_per_day": Word("Most entries of an account in a trading day."),
    "risk.signals_per_minute": Word("More signals of one contract than this mean that something is broken."),
    "risk.rejects_max": Word("After so many refused orders the contract rests for the day ..."),
    "risk.rejects_window_ns": Word("... when they fell within this time.", "ns"),
    "risk.naked_ns": Word("A position whose stop is not proven within this time is closed.", "ns"),
    "risk.proof_ns": Word("Pause before a missing proof of the stop is asked for.", "ns"),
    "risk.entry_timeout_ns": Word("What of an entry is not filled by then is cancelled.", "ns"),
    "risk.command_timeout_ns": Word("An order without an answer for so long counts as unknown.", "ns"),
    "risk.move_gap_ns": Word("Least time between two moves of one stop.", "ns"),
    "risk.unknown_horizon_ns": Word("An order of unknown fate is looked for at least so long ...", "ns"),
    "risk.unknown_answers": Word("... and in at least so many answers of the broker."),
    "risk.recon_open_ns": Word("How often everything is compared with the broker while something is open.", "ns"),
    "risk.recon_idle_ns": Word("And while nothing is.", "ns"),
    "risk.recon_confirm_ns": Word("Pause before a difference is looked at again.", "ns"),
    "risk.rest_failures": Word("After so many unanswered queries the account pauses."),
    "risk.flatten_alert_rounds": Word("After so many rounds of closing without success a person is called."),
    # ----------------------------------------------------------------------------------------------------- fills
    "fills.market_slippage_ticks": Word("Slippage of orders at market.", "ticks", 0),
    "fills.stop_slippage_ticks": Word("Slippage of stops.", "ticks", 0),
    "fills.atr_slippage_permille": Word("More slippage for each 1000 ticks of a minute's usual range.", "ticks", 0),
    "fills.size_slippage_ticks": Word("More slippage for an order as large as the last minute's volume.", "ticks", 0),
    "fills.intrabar": Word(
        "What is believed of the order of prices inside a bar: pessimistic takes the stop when stop and target were "
        "both touched, path believes the order that was made up.",
        choices=("pessimistic", "path"),
    ),
    "fills.latency_ns": Word("Market time until an order counts.", "ns", 0, MAX_LATENCY_NS),
    "fills.queue": Word(
        "When a limit order fills: through its price only, or also by its share of what is traded at it.",
        choices=("through", "share"),
    ),
    "fills.queue_ahead": Word("Contracts that stand before a limit order at its price.", low=0),
    "fills.partial": Word("Whether limit orders fill in parts, where sizes are known."),
    "fills.participation_percent": Word("Share of what went through that one gets.", "%", 1, 100),
    "fills.roll_closes": Word("Whether a change of the delivery month closes positions at the last known price."),
    "fills.spread_by_hour": Word("24 spreads in ticks for each hour in Chicago, by contract: { MNQ = [2, 2, ...] }."),
    # ------------------------------------------------------------------------------------------------------ news
    "news.fetch": Word("Whether the public calendar is fetched; auto: on paper and live.", choices=FETCH),
    "news.url": Word("Where it is fetched from."),
    "news.fetch_hours": Word("Least time between two requests.", "hours", 2, 48),
    "news.files": Word("More calendars of yours: .json (weekly export), .ics, .toml or .csv."),
    "news.high": Word(
        "What news of high impact do: block entries, reduce their size, warn, or nothing (off).", choices=IMPACT_ACTIONS
    ),
    "news.high_before_min": Word("From so long before them ...", "min", 0, 240),
    "news.high_after_min": Word("... to so long after.", "min", 0, 240),
    "news.medium": Word("The same for medium impact.", choices=IMPACT_ACTIONS),
    "news.medium_before_min": Word("From so long before them ...", "min", 0, 240),
    "news.medium_after_min": Word("... to so long after.", "min", 0, 240),
    "news.low": Word("The same for low impact.", choices=IMPACT_ACTIONS),
    "news.low_before_min": Word("From so long before them ...", "min", 0, 240),
    "news.low_after_min": Word("... to so long after.", "min", 0, 240),
    "news.reduce_percent": Word("Size of an entry that is reduced, of the largest allowed.", "%", 1, 100),
    "news.cpi": Word("Whether the firm's limits around CPI releases hold."),
    "news.stale": Word("What holds while no calendar is known, or it is older than seven days.", choices=POLICIES),
    "news.affects": Word('Products that news in a currency move, where they differ: { EUR = ["6E", "ES"] }.'),
    # ------------------------------------------------------------------------------------------------------- dxy
    "dxy.follow": Word("Make the index, show it and record it with each signal; a filter implies it."),
    "dxy.filter": Word(
        "prefer: the score gains or loses `points`; require: no trade against the dollar.", choices=FILTERS
    ),
    "dxy.points": Word("What prefer adds or takes.", "points", 0, 20),
    "dxy.min_correlation": Word("Only contracts that moved with the index at least this much; 0: all.", low=0),
    "dxy.correlation_minutes": Word("Over so many minutes.", "min", 10, 1440),
    "dxy.trend_min": Word("Bars whose trend counts.", "min", choices=(5, 15, 30, 60)),
    "dxy.trend_fast": Word("Span of the fast average of their closes.", "bars", 1),
    "dxy.trend_slow": Word("Span of the slow one; longer than the fast one.", "bars", high=500),
    "dxy.trend_band_bp": Word("Nearer together than this is no trend.", "hundredths of a percent", 0, 1000),
    "dxy.stale_s": Word("A part of the index without a quote for so long counts as unknown.", "s", 5, 86_400),
    "dxy.stale": Word("What a filter does then: as if it were off, or no entries.", choices=STALE_POLICIES),
    # ---------------------------------------------------------------------------------------------------- notify
    "notify.kinds": Word("Which messages are sent: signals, fills, locks, faults, report; empty: none."),
    "notify.per_hour": Word("Messages an hour at most; a quarter of them is kept for locks and faults.", "", 1, 600),
    "notify.gather_s": Word("What happens within this time goes out as one message.", "s", 0, 3600),
    "notify.repeat_min": Word(
        "The same lock or fault is not told again before; then how often it came. 0: each time.", "min", 0, 1440
    ),
    "notify.file": Word(
        "A file of mode 0600 with the addresses, one a line; empty: notify_urls in TBOT_HOME, if there."
    ),
    # -------------------------------------------------------------------------------------------------- learning
    "learning.mode": Word(
        "off: nothing is kept; observe: outcomes are kept and no decision changes; on: weights decide.", choices=MODES
    ),
    "learning.live": Word("Whether `on` decides in live trading, too; without it a live run observes."),
    "learning.frozen": Word("Whether the weights stay those that were stored last."),
    "learning.half_life_days": Word("An outcome so old counts half.", "days", 1, 3650),
    "learning.prior_outcomes": Word("So many outcomes weigh as much as what a pattern's kin says.", "", 5, 10_000),
    "learning.most": Word("A weight lies between 1 - most and 1 + most.", high=0.5),
    "learning.slope": Word("Weight that one R of expectation would add, were it not for the bound.", high=5),
    # ---------------------------------------------------------------------------------------------------- report
    "report.weekly": Word("Whether the report of the week is made when its last session has closed."),
    "report.formats": Word("Its formats: of html, pdf, png and json."),
    # ------------------------------------------------------------------------------------------------------- log
    "log.level": Word("The least that is written; debug: new zones and sweeps, too.", choices=LEVELS),
    "log.max_mb": Word("Size at which a new file is begun; each trading day begins one as well.", "MB", 1, 1_000),
    "log.files": Word("Older files that are kept; the oldest goes.", low=1, high=100),
}
