"""Checks of what a run knows from outside: the calendar of news."""

import time
from pathlib import Path

from tbot.context.news_settings import NewsSettings
from tbot.context.news_sources import cache_of, gather, own_files
from tbot.doctor.findings import Finding, ok, warn
from tbot.domain.timeframes import NS_PER_S

HOUR_NS = 3600 * NS_PER_S
FIX = "tbot news --fetch, or name files of yours in [news]; tbot news shows what is known"


def news(settings: NewsSettings, home: Path, now_ns: int | None = None) -> list[Finding]:
    """Whether somebody knows of news now, and how old that knowledge is."""
    now_ns = time.time_ns() if now_ns is None else now_ns
    calendar = gather(own_files(settings, home), cache_of(home))
    found = [warn("news", problem, FIX) for problem in calendar.problems]
    holds = f'[news] stale = "{settings.stale}" holds'
    age_ns = calendar.age_ns(now_ns)
    if not calendar.sources:
        if settings.fetch == "off" and not found:
            return [ok("news", "none are followed: fetch is off, and there is no file")]
        return [*found, warn("news", f"no calendar yet: {holds}, until a run has fetched one", FIX)]
    told = "of unknown age" if age_ns is None else f"{age_ns // HOUR_NS} h old"
    if not calendar.is_known(now_ns):
        return [*found, warn("news", f"the newest calendar is {told} and says nothing of today; {holds}", FIX)]
    return [*found, ok("news", f"{len(calendar.events)} events known, the newest source is {told}")]
