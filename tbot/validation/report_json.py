"""The result of a backtest and its judgement as one JSON document (`tbot.backtest` version 1, docs/backtest.md).

One rule for numbers that JSON does not have: not a number and "not known" are null, infinite ones the strings "inf" and
"-inf". Money in dollars (`_usd`), times ISO 8601 UTC with Z, trading days as dates, shares 0 to 1.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tbot.backtest.results import NONE_TICKS, BacktestResult
from tbot.domain.contracts import PRODUCTS
from tbot.validation.account import AccountOdds
from tbot.validation.assess import Assessment, ScoreQuality
from tbot.validation.bootstrap import Interval
from tbot.validation.costs import CostCurve
from tbot.validation.regimes import Regimes
from tbot.validation.report_honesty import features
from tbot.validation.report_tables import AccountTables, Line, day_text, tables_of
from tbot.validation.report_words import NS_PER_S, Extra, fill_words, iso
from tbot.validation.sharpe import EffectiveTrials, SharpeJudgement
from tbot.validation.summary import Summary
from tbot.validation.verdict import Verdict

SCHEMA, VERSION = "tbot.backtest", 1
# Of one trade, in this order; also the columns of trades.csv.
TRADE_FIELDS = (
    "account", "contract", "side", "size", "opened", "closed", "day", "held_s", "entry_price", "exit_price",
    "gross_usd", "fees_usd", "commission_usd", "net_usd", "risk_usd", "net_r", "stop_ticks", "target_ticks",
    "slippage_ticks", "mae_ticks", "mfe_ticks", "signal_id", "score", "pattern", "timeframe_min", "test",
    "exit_reason", "exit_code",
)  # fmt: skip
Plain = dict[str, Any]


def document(result: BacktestResult, assessments: Sequence[Assessment], *, extra: Extra | None = None) -> Plain:
    """The whole document; `assessments` one for each account that shall be told."""
    about = extra or Extra()
    whole = {
        "schema": SCHEMA,
        "version": VERSION,
        "tbot_version": about.version,
        "strategy": about.strategy,
        "seed": about.seed,
        "data": list(about.data),
        "data_hash": result.data_hash,
        "plan_hash": result.plan_hash,
        "contracts": [
            {"contract": name, "bars_1m": result.bars.get(name, 0), "synthetic": name in result.synthetic}
            for name in result.contracts
        ],
        "first": iso(result.first_ns),
        "last": iso(result.last_ns),
        "trading_days": [day.isoformat() for day in result.days],
        "records": result.records,
        "calendar": result.calendar,
        "fill_rules": list(fill_words(about.fills)),
        "notes": list(result.notes),
        "open_at_end": list(result.open_at_end),
        "signals": len(result.signals),
        "accounts": [_account(result, judged, about) for judged in assessments],
        "verdicts": [judged.verdict.line for judged in assessments],
        "run": dict(about.more),
    }
    plain = finite(whole)
    assert isinstance(plain, dict)
    return plain


def finite(value: object) -> object:
    """Plain data in which every number is one that JSON has."""
    if isinstance(value, np.generic):
        return finite(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def trades(tables: AccountTables) -> list[Plain]:
    """Round trips in the order in which they ended, named as `tbot trades` names them."""
    return [_trade(row) for row in tables.rows]


def _trade(row: np.void) -> Plain:
    product = PRODUCTS[str(row["contract"])]
    size, tick = int(row["size"]), float(product.tick_size)
    return {
        "account": int(row["account"]),
        "contract": str(row["contract"]),
        "side": "long" if row["side"] > 0 else "short",
        "size": size,
        "opened": iso(int(row["opened_ns"])),
        "closed": iso(int(row["closed_ns"])),
        "day": day_text(int(row["day"])),
        "held_s": (int(row["closed_ns"]) - int(row["opened_ns"])) / NS_PER_S,
        "entry_price": round(int(row["entry_price_size"]) / size * tick, 10),
        "exit_price": round(int(row["exit_price_size"]) / size * tick, 10),
        "gross_usd": int(row["gross_cents"]) / 100,
        "fees_usd": int(row["fees_cents"]) / 100,
        "commission_usd": int(row["commission_cents"]) / 100,
        "net_usd": int(row["net_cents"]) / 100,
        "risk_usd": int(row["risk_cents"]) / 100 or None,
        "net_r": int(row["net_cents"]) / int(row["risk_cents"]) if row["risk_cents"] > 0 else None,
        "stop_ticks": int(row["stop_ticks"]) or None,
        "target_ticks": int(row["target_ticks"]) or None,
        "slippage_ticks": int(row["slippage_ticks"]),
        "mae_ticks": None if row["mae_ticks"] == NONE_TICKS else int(row["mae_ticks"]),
        "mfe_ticks": None if row["mfe_ticks"] == NONE_TICKS else int(row["mfe_ticks"]),
        "signal_id": str(row["signal_id"]),
        "score": float(row["score"]),
        "pattern": str(row["zone_kind"]),
        "timeframe_min": int(row["zone_timeframe_min"]) or None,
        "test": int(row["test"]) or None,
        "exit_reason": str(row["exit_reason"]),
        "exit_code": str(row["exit_code"]),
    }


def _account(result: BacktestResult, judged: Assessment, extra: Extra) -> Plain:
    tables = tables_of(result, judged.account)
    return {
        "account": judged.account,
        "name": extra.accounts.get(judged.account, ""),
        "state": result.states.get(judged.account, ""),
        "opening_balance_usd": tables.opening_cents / 100,
        "closing_balance_usd": tables.closing_cents / 100,
        "summary": summary(judged.summary),
        "intervals": {
            "expectancy_usd": _interval(judged.expectancy_cents, 100),
            "expectancy_ticks": _interval(judged.expectancy_ticks),
            "drawdown_usd": _interval(judged.drawdown_cents, 100),
        },
        "costs": _costs(judged.costs),
        "sharpe": _sharpe(judged.sharpe),
        "trials": _trials(judged.trials),
        "pbo": judged.pbo,
        "null_percentile": judged.verdict.null_percentile,
        "regimes": _regimes(judged.regimes),
        "score": _score(judged.scores),
        "odds": _odds(judged.odds),
        "odds_missing": judged.odds_missing,
        "honesty": [
            {"feature": one.key, "title": one.title, "known": one.known, "text": one.text, "command": one.ask or None}
            for one in features(result, judged, extra)
        ],
        "denials": [{"reason": one.reason, "n": one.n, "text": one.text} for one in tables.refusals],
        "by_month": [_line(one, "month") for one in tables.months],
        "by_week": [_line(one, "week") for one in tables.weeks],
        "by_pattern": [_line(one, "pattern", "timeframe") for one in tables.patterns],
        "by_hour_chicago": [_line(one, "hour") for one in tables.by_hour],
        "by_contract": [_line(one, "contract") for one in tables.contracts],
        "by_side": [_line(one, "side") for one in tables.sides],
        "exits": [_line(one, "reason", "code") for one in tables.exits],
        "trades": trades(tables),
        "verdict": _verdict(judged.verdict),
    }


def _usd(cents: float | None) -> float | None:
    return None if cents is None else cents / 100


def summary(told: Summary) -> Plain:
    """Trade statistics of an account."""
    fall = told.drawdown
    return {
        "trades": told.n,
        "wins": told.wins,
        "losses": told.losses,
        "net_usd": told.net_cents / 100,
        "gross_usd": told.gross_cents / 100,
        "costs_usd": told.costs_cents / 100,
        "win_rate": told.win_rate,
        "profit_factor": told.profit_factor,
        "average_win_usd": _usd(told.average_win_cents),
        "average_loss_usd": _usd(told.average_loss_cents),
        "expectancy_usd": _usd(told.expectancy_cents),
        "expectancy_ticks": told.expectancy_ticks,
        "expectancy_r": told.expectancy_r,
        "trades_with_risk": told.n_with_risk,
        "days": told.days,
        "sharpe_annual": told.sharpe,
        "sortino_annual": told.sortino,
        "max_drawdown_usd": fall.depth_cents / 100,
        "max_drawdown_trades": fall.trips,
        "max_drawdown_recovered": fall.recovered is not None,
        "longest_drawdown_trades": fall.longest_trips,
        "losing_streak": told.losing_streak,
        "exposed_s": told.exposed_ns / NS_PER_S,
        "exposure": told.exposure,
    }


def _interval(told: Interval | None, over: float = 1) -> Plain | None:
    if told is None:
        return None
    return {
        "estimate": told.estimate / over,
        "low": told.low / over,
        "high": told.high / over,
        "level": told.level,
        "draws": told.draws,
    }


def _costs(curve: CostCurve | None) -> Plain | None:
    if curve is None:
        return None
    return {
        "costs_usd": curve.costs_cents / 100,
        "frictionless_usd": curve.frictionless_cents / 100,
        "parts_usd": {name: cents / 100 for name, cents in curve.parts_cents},
        "dies_at": curve.dies_at,
        "curve": [
            {"multiple": multiple, "net_usd": net / 100}
            for multiple, net in zip(curve.multiples, curve.nets_cents, strict=True)
        ],
    }


def _sharpe(told: SharpeJudgement | None) -> Plain | None:
    if told is None:
        return None
    return {
        "daily": told.moments.sharpe,
        "skew": told.moments.skew,
        "kurtosis": told.moments.kurtosis,
        "days": told.moments.n,
        "probabilistic": told.psr,
        "deflated": told.dsr,
        "expected_max": told.expected_max,
        "trials_deviation": told.trials_deviation,
        "min_track_record_days": told.min_track_record,
        "level": told.level,
    }


def _trials(told: EffectiveTrials) -> Plain:
    return {
        "trials": told.trials,
        "varied": told.varied,
        "mean_correlation": told.mean_correlation,
        "effective_by_average": told.by_average,
        "effective_by_eigenvalues": told.by_eigenvalues,
    }


def _regimes(told: Regimes | None) -> Plain | None:
    if told is None:
        return None
    return {
        "against": told.against,
        "q": told.q,
        "rule": told.rule,
        "groups": [
            {
                "dimension": group.dimension,
                "label": group.label,
                "trades": group.n,
                "days": group.days,
                "expectancy_ticks": _interval(group.expectancy),
                "p": group.p_value,
                "p_adjusted": group.adjusted_p,
                "stands_out": group.stands_out,
            }
            for group in told.groups
        ],
    }


def _score(told: ScoreQuality | None) -> Plain | None:
    if told is None:
        return None
    table, parts = told.reliability, told.components
    return {
        "trades": table.n,
        "brier": table.brier,
        "reliability": table.reliability,
        "resolution": table.resolution,
        "uncertainty": table.uncertainty,
        "skill": table.skill,
        "bins": [
            {
                "low": one.low,
                "high": one.high,
                "trades": one.n,
                "probability": one.probability,
                "hit_rate": _interval(one.hit_rate),
            }
            for one in table.bins
        ],
        "rank_correlation": told.monotonicity.rho,
        "rank_p": told.monotonicity.p_value,
        "auc": parts.auc,
        "components": [
            {
                "name": one.name,
                "auc_loss": _interval(one.auc_loss),
                "brier_loss": _interval(one.brier_loss),
                "adds_nothing": one.adds_nothing,
            }
            for one in parts.components
        ],
    }


def _odds(told: AccountOdds | None) -> Plain | None:
    if told is None:
        return None
    return {
        "passed": _interval(told.passed),
        "days_to_pass": _interval(told.days_to_pass),
        "failures": {name: _interval(share) for name, share in told.failures.items()},
        "withheld": _interval(told.withheld),
        "value_usd": _interval(told.value_cents, 100),
        "fees_usd": _interval(told.fees_cents, 100),
        "fees_per_pass_usd": told.fees_per_pass_cents / 100,
        "history_days": told.history_days,
        "horizon_days": told.horizon_days,
        "attempts": told.attempts,
    }


def _line(told: Line, *names: str) -> Plain:
    return dict(zip(names, told.label, strict=True)) | {
        "trades": told.n,
        "wins": told.wins,
        "losses": told.losses,
        "net_usd": told.net_cents / 100,
        "win_rate": told.win_rate,
        "profit_factor": told.profit_factor,
        "average_usd": _usd(told.average_cents),
        "average_r": told.average_r,
    }


def _verdict(told: Verdict) -> Plain:
    values = asdict(told)
    values["expectancy_ticks"] = _interval(told.expectancy_ticks)
    return values | {"finding": told.finding, "provisional": told.provisional, "line": told.line}
