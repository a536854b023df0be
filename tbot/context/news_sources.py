"""Which sources a run has, and all of them as one calendar."""

from collections.abc import Sequence
from pathlib import Path

from tbot.context.news import Calendar, Snapshot, undated
from tbot.context.news_fetch import NewsCache
from tbot.context.news_files import collect, read_files
from tbot.context.news_settings import NewsSettings

OWN_NAMES = ("news.toml", "news.csv")  # of the owner's rows in TBOT_HOME
FETCHING_MODES = ("paper", "live")
FETCHED = "fetched"  # among the files of past data: every week that was ever fetched


def fetches(settings: NewsSettings, mode: str) -> bool:
    """Whether a run of this mode asks the public address by itself. A simulated market has no news of today."""
    return settings.fetch == "on" or (settings.fetch == "auto" and mode in FETCHING_MODES)


def own_files(settings: NewsSettings, home: Path) -> list[Path]:
    """The files that the settings name, and the owner's rows in TBOT_HOME where there are any."""
    named = [Path(name).expanduser() for name in settings.files]
    return named + [home / name for name in OWN_NAMES if (home / name).is_file()]


def cache_of(home: Path) -> NewsCache:
    """Where fetched weeks are kept."""
    return NewsCache(home / "news")


def gather(files: Sequence[Path], cache: NewsCache | None) -> Calendar:
    """Every source of a run of today; what cannot be read is told in `problems`, and the rest counts."""
    snapshots: list[Snapshot] = []
    problems: list[str] = []
    if cache is not None:
        snapshots, problems = cache.snapshots()
    return collect(files, snapshots, problems)


def gather_past(files: Sequence[Path], cache: NewsCache | None) -> Calendar:
    """The same for past data, where the age of a source says nothing."""
    whole = gather(files, cache)
    return collect([], [undated(snapshot) for snapshot in whole.sources], whole.problems)


def past_calendar(names: Sequence[str | Path], home: Path) -> Calendar | None:
    """News of past data: files, and with FETCHED the weeks in TBOT_HOME; None when none are named. DataError for a file
    that is none.
    """
    if not names:
        return None
    files = [Path(name) for name in names if str(name) != FETCHED]
    if len(files) == len(names):
        return read_files(files)
    calendar = gather_past([], cache_of(home))
    return collect([], [*calendar.sources, *read_files(files).sources], calendar.problems)
