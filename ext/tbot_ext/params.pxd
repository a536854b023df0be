# Parameters of the detectors of one timeframe. The struct is what compiled code reads; Params is its checked owner.
from libc.stdint cimport int32_t, int64_t, uint8_t

cdef enum:
    MAX_WINDOW_C = 60           # largest L and R
    MAX_ZONES_C = 64            # zones per list (side and kind)
    MAX_AGE_C = 1000            # bars; below the length of a bar series, which then still holds the births of zones
    MAX_RECLAIM_C = 20          # largest sweep_reclaim, bars
    TIMEFRAMES_C = 5
    SESSIONS_C = 3              # Asia, London, New York

cdef struct SessionHours:       # weekdays, by the clocks of a zone
    int32_t zone                # local_time.zone_index: holds within one process
    int32_t start_min           # minutes after local midnight
    int32_t end_min             # not above start_min: of the next day

cdef struct ParamValues:        # meanings and defaults: smc.md section 0
    int32_t left                # L, bars
    int32_t right               # R, bars
    int32_t atr_n               # bars
    int32_t ob_search           # bars
    int32_t max_age             # bars
    int32_t max_zones           # zones per side and kind
    int32_t sweep_reclaim       # bars
    int64_t break_buffer        # ticks
    int64_t fvg_min_ticks       # ticks
    int64_t eq_tol_ticks        # ticks
    int64_t sr_tol_ticks        # ticks
    int64_t round_step          # ticks between round numbers, 0 none
    double fvg_min_atr          # ATR
    double ob_min_disp_atr      # ATR
    double ob_max_height_atr    # ATR
    double eq_tol_atr           # ATR
    double sr_tol_atr           # ATR
    uint8_t break_wick          # structure breaks by high and low instead of close
    uint8_t fvg_need_body
    uint8_t ob_extreme          # ob_pick == "extreme"
    uint8_t ob_body             # ob_zone == "body"
    uint8_t zone_break_wick     # blocks break by high and low instead of close
    SessionHours sessions[SESSIONS_C]

cdef class Params:
    cdef readonly int L, R, atr_n, ob_search, max_age, max_zones, sweep_reclaim
    cdef readonly long long break_buffer, fvg_min_ticks, eq_tol_ticks, sr_tol_ticks, round_step
    cdef readonly double fvg_min_atr, ob_min_disp_atr, ob_max_height_atr, eq_tol_atr, sr_tol_atr
    cdef readonly bint fvg_need_body
    cdef readonly str break_mode, ob_pick, ob_zone, zone_break
    cdef readonly tuple sessions

    cdef ParamValues values(self)
