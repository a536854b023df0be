"""The report as one JSON document, `tbot.report` version 1 (keys: docs/report.md). Times UTC, money in USD.

A figure that is not defined is null, and `not_defined` beside it says why.
"""

from fractions import Fraction
from typing import Any

from tbot.analytics.breakdowns import GroupLine
from tbot.analytics.broker_check import BrokerCheck, Difference
from tbot.analytics.execution_quality import Quality
from tbot.analytics.floor_room import FloorLine, Point
from tbot.analytics.metrics import DEFINITIONS, Fall, Figures, Ratio
from tbot.analytics.pattern_table import Row, Table
from tbot.analytics.report import Report
from tbot.analytics.round_trips import Deal, dollar, news, pattern
from tbot.domain.timeframes import NAMES
from tbot.validation.report_words import iso


def document(report: Report, written_ns: int, version: str) -> dict[str, Any]:
    """Everything that the other forms show, and what only a program wants."""
    period = report.period
    return {
        "schema": "tbot.report",
        "version": 1,
        "written": iso(written_ns),
        "tbot": version,
        "badge": report.badge,
        "mode": report.mode,
        "week": period.week or None,
        "label": period.label,
        "first_day": period.first.isoformat(),
        "last_day": period.last.isoformat(),
        "from": iso(period.from_ns),
        "until": iso(period.until_ns),
        "accounts": [{"id": number, "name": name} for number, name in sorted(report.accounts.items())],
        "builds": list(report.builds),
        "config_hashes": list(report.config_hashes),
        "data_hash": report.data_hash,
        "figures": figure_row(report.figures),
        "to_date": {"since": report.since.isoformat() if report.since else None, **figure_row(report.to_date)},
        "rolling_sharpe": [{"day": one.day.isoformat(), "value": one.value} for one in report.rolling],
        "days": [
            {"day": day.day.isoformat(), "trades": day.n, "won": day.wins, "lost": day.losses, "lots": day.lots,
             "net_usd": _usd(day.net_cents)}
            for day in report.figures.days
        ],
        "worst_drawdowns": [_fall(one) for one in report.falls],
        "groups": {name: [_group(line) for line in lines] for name, lines in report.groups.items()},
        "execution": _execution(report.quality),
        "limits": {
            "daily_loss_usd": _usd(report.limits.daily_loss_cents),
            "least_room_usd": _usd(report.limits.least_room_cents),
            "least_room_day": report.limits.day.isoformat() if report.limits.day else None,
            "least_room_account": report.limits.account,
            "floors": [_floor(line) for line in report.floors],
        },
        "patterns": None if report.patterns is None else _patterns(report.patterns),
        "broker": _broker(report.broker),
        "not_valued": report.out_of_table,
        "trades": [trade_row(deal) for deal in report.deals],
        "definitions": DEFINITIONS,
    }  # fmt: skip


def figure_row(told: Figures) -> dict[str, Any]:
    """All figures of some trades."""
    fall = told.fall
    return {
        "trades": told.n,
        "won": told.wins,
        "lost": told.losses,
        "even": told.even,
        "lots": told.lots,
        "longs": told.longs,
        "shorts": told.n - told.longs,
        "net_usd": _usd(told.net_cents),
        "gross_usd": _usd(told.gross_cents),
        "fees_usd": _usd(told.fees_cents),
        "commission_usd": _usd(told.commission_cents),
        "won_usd": _usd(told.won_cents),
        "lost_usd": _usd(told.lost_cents),
        "best_usd": _usd(told.best_cents),
        "worst_usd": _usd(told.worst_cents),
        "win_rate": _number(told.win_rate),
        "average_win_usd": _average(told.average_win_cents),
        "average_loss_usd": _average(told.average_loss_cents),
        "win_loss_ratio": _number(told.win_loss_ratio),
        "profit_factor": _number(told.profit_factor),
        "expectancy_usd": _average(told.expectancy_cents),
        "expectancy_r": told.expectancy_r,
        "trades_with_risk": told.n_with_risk,
        "held_s": _seconds(told.held_ns),
        "held_won_s": _seconds(told.held_won_ns),
        "held_lost_s": _seconds(told.held_lost_ns),
        "slippage_ticks": told.slippage_ticks,
        "slippage_usd": _usd(told.slippage_cents),
        "mae_usd": _average(told.mae_cents),
        "mfe_usd": _average(told.mfe_cents),
        "trades_watched": told.n_watched,
        "winning_streak": told.winning_streak,
        "losing_streak": told.losing_streak,
        "drawdown_usd": _usd(fall.depth_cents),
        "drawdown_trades": fall.trips,
        "drawdown_longest_trades": fall.longest_trips,
        "drawdown_from": None if fall.from_ns is None else iso(fall.from_ns),
        "drawdown_until": None if fall.until_ns is None else iso(fall.until_ns),
        "drawdown_recovered": fall.recovered,
        "days": len(told.days),
        "traded_days": len(told.traded_days),
        "day_win_rate": _number(told.day_win_rate),
        "best_day_share": _number(told.best_day_share),
        "sharpe": _ratio(told.sharpe),
        "sortino": _ratio(told.sortino),
        "calmar": _ratio(told.calmar),
        "not_defined": told.not_defined,
    }


def _usd(cents: int | None) -> float | None:
    """Exact: the float nearest to a whole cent prints as that cent."""
    return None if cents is None else cents / 100


def _average(cents: Fraction | None) -> float | None:
    return None if cents is None else float(cents / 100)


def _number(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e9


def _ratio(ratio: Ratio) -> dict[str, float | None]:
    return {"value": ratio.value, "low": ratio.low, "high": ratio.high}


def _group(line: GroupLine) -> dict[str, Any]:
    return {
        "label": line.label, "trades": line.n, "won": line.wins, "lost": line.losses, "net_usd": _usd(line.net_cents),
        "won_usd": _usd(line.won_cents), "lost_usd": _usd(line.lost_cents), "average_usd": _average(line.average_cents),
        "win_rate": float(line.win_rate), "win_rate_low": line.win_low, "win_rate_high": line.win_high,
        "profit_factor": _number(line.profit_factor), "r": line.r,
    }  # fmt: skip


def _execution(told: Quality) -> dict[str, Any]:
    return {
        "latency_ms": {
            one.hop: {"count": one.n, "p50": one.p50_ns / 1e6, "p99": one.p99_ns / 1e6, "worst": one.worst_ns / 1e6}
            for one in told.latencies
        },
        "slippage_ticks": told.slippage_ticks,
        "slippage_contracts": told.slippage_contracts,
        "entered_worse": told.slippage_worse,
        "entered_as_decided": told.slippage_equal,
        "entered_better": told.slippage_better,
        "signals": told.signals,
        "signals_taken": told.taken,
        "approvals": told.intents,
        "denials": [{"reason": one.reason, "count": one.n, "text": one.text} for one in told.denials],
        "entries": told.entries,
        "entries_filled": told.filled_entries,
        "contracts_ordered": told.entry_contracts,
        "contracts_filled": told.filled_contracts,
        "fill_ratio": told.fill_ratio,
        "rejected": told.rejected,
        "ambiguous": told.ambiguous,
        "not_sent": told.not_sent,
        "starts": told.starts,
        "states": dict(told.halts),
        "gaps": dict(told.gaps),
        "conditions": dict(told.conditions),
    }


def _fall(one: Fall) -> dict[str, Any]:
    return {
        "depth_usd": _usd(one.depth_cents), "trades": one.trips, "recovered": one.recovered,
        "from": None if one.from_ns is None else iso(one.from_ns),
        "until": None if one.until_ns is None else iso(one.until_ns),
    }  # fmt: skip


def _floor(line: FloorLine) -> dict[str, Any]:
    """The points tell every change; between two of them nothing moved."""
    return {
        "account": line.account, "max_loss_usd": _usd(line.max_loss_cents), "lock_room_usd": _usd(line.lock_cents),
        "least": _point(line.least), "last": _point(line.points[-1]), "points": [_point(one) for one in line.points],
    }  # fmt: skip


def _point(one: Point) -> dict[str, Any]:
    return {
        "at": iso(one.at_ns), "balance_usd": _usd(one.balance_cents), "floor_usd": _usd(one.floor_cents),
        "room_usd": _usd(one.room_cents),
    }  # fmt: skip


def _patterns(told: Table) -> dict[str, Any]:
    version = told.in_force
    return {
        "mode": told.mode,
        "frozen": told.frozen,
        "version_before": version.name if version else None,
        "version_after": told.learned.version,
        "outcomes": told.totals["outcomes"],
        "rows": [_pattern(row) for row in told.rows],
    }


def _pattern(row: Row) -> dict[str, Any]:
    judged = row.judged
    return {
        "contract": judged.symbol, "kind": judged.kind, "timeframe": NAMES[judged.timeframe_min], "n": row.n,
        "won": row.won, "win_rate": row.share.estimate if row.n else None, "win_rate_low": row.share.low,
        "win_rate_high": row.share.high, "profit_factor": row.profit_factor, "expectancy_r": row.expectancy_r,
        "n_in_period": row.recent.n, "won_in_period": row.recent.won,
        "expectancy_r_in_period": row.recent.mean_r if row.recent.n else None, "weight_before": row.before,
        "weight_after": row.after, "why": row.why,
    }  # fmt: skip


def _broker(told: BrokerCheck) -> dict[str, Any]:
    return {
        "source": told.source, "equal": told.equal if told.compared else None, "trades": told.fills,
        "round_trips": told.trips,
        "ours_usd": _usd(told.ours_cents), "broker_usd": _usd(told.broker_cents),
        "difference_usd": _usd(told.ours_cents - told.broker_cents), "costs_posted_late": told.posted_late,
        "differences": [_difference(one) for one in told.differences],
    }  # fmt: skip


def _difference(one: Difference) -> dict[str, Any]:
    return {
        "kind": one.kind, "account": one.account, "contract": one.contract, "at": iso(one.at_ns),
        "trade_ids": list(one.ids), "ours_usd": _usd(one.ours_cents), "broker_usd": _usd(one.broker_cents),
        "text": one.text,
    }  # fmt: skip


def trade_row(deal: Deal) -> dict[str, Any]:
    """One round trip."""
    trip, product, signal, intent = deal.trip, deal.product, deal.signal, deal.intent
    size = float(product.tick_size)
    return {
        "account": trip.account,
        "contract": trip.contract,
        "side": "long" if trip.side > 0 else "short",
        "size": trip.size,
        "opened": iso(trip.opened_ns),
        "closed": iso(trip.now_ns),
        "day": deal.day.isoformat(),
        "held_s": deal.held_ns / 1e9,
        "entry_price": trip.entry_price_size * size / trip.size,
        "exit_price": trip.exit_price_size * size / trip.size,
        "stop_price": None if signal is None else float(product.to_price(signal.stop)),
        "target_price": None if signal is None else float(product.to_price(signal.target)),
        "gross_usd": _usd(trip.gross_cents),
        "fees_usd": _usd(trip.fees_cents),
        "commission_usd": _usd(trip.commission_cents),
        "net_usd": _usd(trip.net_cents),
        "risk_usd": _usd(intent.risk_cents) if intent else None,
        "r": deal.r,
        "pattern": pattern(deal),
        "timeframe": NAMES.get(signal.zone_timeframe_min) if signal else None,
        "zone_id": signal.zone_id if signal else None,
        "score": signal.score if signal else None,
        "news": news(deal),
        "dollar": dollar(deal),
        "signal_id": trip.signal_id,
        "entry_reason": trip.entry_reason,
        "exit_reason": trip.exit_reason,
        "exit_code": trip.exit_code,
        "slippage_ticks": trip.slippage_ticks,
        "mae_ticks": trip.mae_ticks,
        "mfe_ticks": trip.mfe_ticks,
        "mae_usd": None if trip.mae_ticks is None else _usd(deal.ticks_cents(trip.mae_ticks)),
        "mfe_usd": None if trip.mfe_ticks is None else _usd(deal.ticks_cents(trip.mfe_ticks)),
        "hops_ms": {hop: took / 1e6 for hop, took in deal.hops().items()},
    }

