"""Parameters of the detectors, one `Params` per timeframe: names, defaults and meanings of smc.md section 0.

`Params` is immutable and checked when it is made. `params_hash` names a set of parameters in signals and reports, so
that a decision can be replayed with exactly what decided it. Parameters of detectors that do not exist are not here.
"""
import hashlib
import json
import math
import re

cimport cython

from tbot_ext.local_time cimport zone_index

__all__ = ["RULES_VERSION", "TIMEFRAMES", "Params", "complete_params", "default_params", "params_hash"]

TIMEFRAMES = (1, 5, 15, 30, 60)
RULES_VERSION = 2   # part of every hash: raise it when a rule changes what the same parameters mean

_NAMES = (
    "L", "R", "break_mode", "break_buffer", "atr_n", "fvg_min_ticks", "fvg_min_atr", "fvg_need_body", "ob_pick",
    "ob_search", "ob_zone", "ob_min_disp_atr", "ob_max_height_atr", "zone_break", "max_age", "max_zones",
    "eq_tol_atr", "eq_tol_ticks", "sr_tol_atr", "sr_tol_ticks", "sweep_reclaim", "round_step",
    "sessions",
)
_SESSION_NAMES = ("Asia", "London", "New York")
_SESSIONS = (
    ("Asia/Tokyo", "09:00", "15:00"), ("Europe/London", "08:00", "16:30"), ("America/New_York", "09:30", "16:00"),
)


def _whole(name, value, least, most):
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} must be a whole number, not {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{name} must lie in {least}..{most}, not {value}")
    return value


def _number(name, value, most):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, not {value!r}")
    if not 0 <= value <= most:
        raise ValueError(f"{name} must lie in 0..{most}, not {value}")
    return float(value)


def _choice(name, value, allowed):
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
    return value


def _minutes(name, value):
    """Minutes after midnight of "HH:MM"."""
    if not isinstance(value, str) or re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value) is None:
        raise ValueError(f"{name} must be a time HH:MM from 00:00 to 23:59, not {value!r}")
    return int(value[:2]) * 60 + int(value[3:])


def _session_hours(value):
    """(zone, start, end) for Asia, London and New York; lists, as files give them, become tuples."""
    if not isinstance(value, (tuple, list)) or len(value) != SESSIONS_C:
        raise ValueError(f"sessions must be three of (zone, start, end), for {', '.join(_SESSION_NAMES)}: {value!r}")
    for place, session in zip(_SESSION_NAMES, value):
        if not isinstance(session, (tuple, list)) or len(session) != 3 or not isinstance(session[0], str):
            raise ValueError(f"sessions: {place} must be (zone, start HH:MM, end HH:MM), not {session!r}")
        zone_index(session[0])
        if _minutes(f"sessions: start of {place}", session[1]) == _minutes(f"sessions: end of {place}", session[2]):
            raise ValueError(f"sessions: {place} must not start and end at the same time ({session[1]})")
    return tuple(tuple(session) for session in value)


@cython.final
cdef class Params:
    """Parameters of one timeframe. Units: bars (`L R atr_n ob_search max_age sweep_reclaim`), ticks
    (`break_buffer fvg_min_ticks eq_tol_ticks sr_tol_ticks round_step`; no round numbers at step 0), multiples of the
    ATR (`*_atr`), zones (`max_zones`). `sessions` are (zone of the tz database, "HH:MM" start, "HH:MM" end) of Asia,
    London and New York, on weekdays; an end before the start is one on the next day. Raises ValueError that names the
    parameter and its range."""

    def __cinit__(self, *, L=5, R=5, break_mode="close", break_buffer=0, atr_n=14, fvg_min_ticks=1, fvg_min_atr=0.0,
                  fvg_need_body=True, ob_pick="last_opposite", ob_search=5, ob_zone="wick", ob_min_disp_atr=1.0,
                  ob_max_height_atr=3.5, zone_break="close", max_age=500, max_zones=64,
                  eq_tol_atr=0.10, eq_tol_ticks=2, sr_tol_atr=0.25, sr_tol_ticks=2, sweep_reclaim=3, round_step=0,
                  sessions=_SESSIONS):
        self.L = _whole("L", L, 1, MAX_WINDOW_C)
        self.R = _whole("R", R, 1, MAX_WINDOW_C)
        self.break_mode = _choice("break_mode", break_mode, ("close", "wick"))
        self.break_buffer = _whole("break_buffer", break_buffer, 0, 1_000_000)
        self.atr_n = _whole("atr_n", atr_n, 1, MAX_AGE_C)
        self.fvg_min_ticks = _whole("fvg_min_ticks", fvg_min_ticks, 1, 1_000_000)
        self.fvg_min_atr = _number("fvg_min_atr", fvg_min_atr, 1000)
        if not isinstance(fvg_need_body, bool):
            raise ValueError(f"fvg_need_body must be true or false, not {fvg_need_body!r}")
        self.fvg_need_body = fvg_need_body
        self.ob_pick = _choice("ob_pick", ob_pick, ("last_opposite", "extreme"))
        self.ob_search = _whole("ob_search", ob_search, 0, MAX_AGE_C)
        self.ob_zone = _choice("ob_zone", ob_zone, ("wick", "body"))
        self.ob_min_disp_atr = _number("ob_min_disp_atr", ob_min_disp_atr, 1000)
        self.ob_max_height_atr = _number("ob_max_height_atr", ob_max_height_atr, 1000)
        self.zone_break = _choice("zone_break", zone_break, ("close", "wick"))
        self.max_age = _whole("max_age", max_age, 1, MAX_AGE_C)
        self.max_zones = _whole("max_zones", max_zones, 1, MAX_ZONES_C)
        self.eq_tol_atr = _number("eq_tol_atr", eq_tol_atr, 1000)
        self.eq_tol_ticks = _whole("eq_tol_ticks", eq_tol_ticks, 0, 1_000_000)
        self.sr_tol_atr = _number("sr_tol_atr", sr_tol_atr, 1000)
        self.sr_tol_ticks = _whole("sr_tol_ticks", sr_tol_ticks, 0, 1_000_000)
        self.sweep_reclaim = _whole("sweep_reclaim", sweep_reclaim, 0, MAX_RECLAIM_C)
        self.round_step = _whole("round_step", round_step, 0, 1_000_000_000)
        self.sessions = _session_hours(sessions)

    cdef ParamValues values(self):
        cdef ParamValues v
        cdef int i
        v.left, v.right = self.L, self.R
        v.atr_n, v.ob_search = self.atr_n, self.ob_search
        v.max_age, v.max_zones, v.sweep_reclaim = self.max_age, self.max_zones, self.sweep_reclaim
        v.break_buffer, v.fvg_min_ticks = self.break_buffer, self.fvg_min_ticks
        v.fvg_min_atr, v.ob_min_disp_atr = self.fvg_min_atr, self.ob_min_disp_atr
        v.ob_max_height_atr = self.ob_max_height_atr
        v.eq_tol_ticks, v.sr_tol_ticks, v.round_step = self.eq_tol_ticks, self.sr_tol_ticks, self.round_step
        v.eq_tol_atr, v.sr_tol_atr = self.eq_tol_atr, self.sr_tol_atr
        v.break_wick = self.break_mode == "wick"
        v.fvg_need_body = self.fvg_need_body
        v.ob_extreme = self.ob_pick == "extreme"
        v.ob_body = self.ob_zone == "body"
        v.zone_break_wick = self.zone_break == "wick"
        for i in range(SESSIONS_C):
            zone, start, end = self.sessions[i]
            v.sessions[i].zone = zone_index(zone)
            v.sessions[i].start_min, v.sessions[i].end_min = _minutes("start", start), _minutes("end", end)
        return v

    def as_dict(self):
        """All parameters by name, in the order of smc.md section 0."""
        return {name: getattr(self, name) for name in _NAMES}

    def replace(self, **changes):
        """A copy with some parameters changed; raises as the constructor does."""
        return Params(**{**self.as_dict(), **changes})

    def params_hash(self):
        """16 hex digits that depend on every parameter and on RULES_VERSION, the same on every machine."""
        return _digest([self.as_dict()])

    def __eq__(self, other):
        if not isinstance(other, Params):
            return NotImplemented
        return self.as_dict() == other.as_dict()

    def __hash__(self):
        return hash(tuple(self.as_dict().items()))

    def __repr__(self):
        return "Params(" + ", ".join(f"{name}={value!r}" for name, value in self.as_dict().items()) + ")"

    def __reduce__(self):
        return _rebuild, (self.as_dict(),)


def _rebuild(values):
    return Params(**values)


def _digest(content):
    text = json.dumps([RULES_VERSION, content], sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def default_params():
    """The defaults by timeframe in minutes; 1h swings look 3 bars to each side, all others 5."""
    return {minutes: Params(L=3, R=3) if minutes == 60 else Params() for minutes in TIMEFRAMES}


def complete_params(params=None):
    """Parameters for all five timeframes: one `Params` serves all, a dict replaces defaults. Raises ValueError."""
    if params is None:
        return default_params()
    if isinstance(params, Params):
        return dict.fromkeys(TIMEFRAMES, params)
    unknown = sorted(set(params) - set(TIMEFRAMES))
    if unknown:
        raise ValueError(f"unknown timeframes {unknown}; known are {list(TIMEFRAMES)} (minutes)")
    for minutes, value in params.items():
        if not isinstance(value, Params):
            raise ValueError(f"timeframe {minutes}: expected Params, not {value!r}")
    return {**default_params(), **params}


def params_hash(params=None):
    """16 hex digits for the parameters of all five timeframes (argument as in `complete_params`)."""
    complete = complete_params(params)
    return _digest([[minutes, complete[minutes].as_dict()] for minutes in TIMEFRAMES])
