"""The five timeframes of the engine and where their bars begin (smc.md section 1: anchored at the UTC epoch)."""

NS_PER_S = 1_000_000_000
NS_PER_MIN = 60 * NS_PER_S

TIMEFRAMES_MIN: tuple[int, ...] = (1, 5, 15, 30, 60)
NAMES: dict[int, str] = {1: "1m", 5: "5m", 15: "15m", 30: "30m", 60: "1h"}
MINUTES: dict[str, int] = {name: minutes for minutes, name in NAMES.items()}


def bar_start_ns(ts_ns: int, minutes: int) -> int:
    """Start of the bar that covers `ts_ns` (UTC ns); a time exactly on a boundary belongs to the bar it starts."""
    period = minutes * NS_PER_MIN
    return ts_ns - ts_ns % period
