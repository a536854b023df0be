"""The files of a backtest's `--out` folder: what was traded, what was not and why, and what it would take to run it
again.

    trades.csv, trades.parquet   every round trip (parquet where pyarrow is installed)
    equity.csv                   every balance of every account
    signals.jsonl                every signal, taken or not, with what each account made of it
    denials.csv                  every signal that an account did not take, with the reason
    report.json, report.html     the reports (HTML where the extra `report` is installed)
    config.toml                  the configuration of the run, as it was
    hashes.json                  plan, data, version and seed, and the SHA-256 of every file beside it

A new folder appears with all of them at once. In one that is there already each file is replaced whole, hashes.json
last, so that a folder whose files do not match their hashes tells of a run that was cut off.
"""

import contextlib
import csv
import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from tbot.backtest.results import BacktestResult
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Denial
from tbot.domain.trading_hours import CHICAGO
from tbot.errors import ConfigError, unwritable
from tbot.validation.assess import Assessment
from tbot.validation.report_html import page
from tbot.validation.report_json import TRADE_FIELDS, document, finite, trades
from tbot.validation.report_tables import all_outcomes, tables_of
from tbot.validation.report_words import Extra, iso

HASHES = "hashes.json"
# What a run writes; `force` takes away these and nothing else.
NAMES = (
    "trades.csv", "trades.parquet", "equity.csv", "signals.jsonl", "denials.csv", "report.json", "report.html",
    "config.toml", HASHES,
)  # fmt: skip
_TEXT = frozenset({"opened", "closed", "day", "side", "contract", "signal_id", "pattern", "exit_reason", "exit_code"})
_WHOLE = frozenset({
    "account", "size", "stop_ticks", "target_ticks", "slippage_ticks", "mae_ticks", "mfe_ticks", "timeframe_min",
    "test",
})  # fmt: skip


def check_target(out: Path, *, force: bool = False) -> None:
    """ConfigError when `out` cannot take the files, so that nobody waits for a run in vain.

    A folder that is not empty is refused; `force` replaces the files of an earlier run and leaves others alone.
    """
    try:
        there = next((place for place in (out, *out.parents) if place.exists()), Path())
        if not there.is_dir():
            raise ConfigError(f"{there} is a file; name a folder for the reports")
        if there == out and not force and any(out.iterdir()):
            raise ConfigError(
                f"{out} is not empty; name a new folder, or write over an earlier run's files with --force"
            )
    except OSError as error:
        raise unwritable(f"the folder {out}", error) from None


def write(
    out: Path,
    result: BacktestResult,
    assessments: Sequence[Assessment],
    config_text: str,
    *,
    zone: ZoneInfo = CHICAGO,
    extra: Extra | None = None,
    force: bool = False,
) -> list[Path]:
    """Write all files and give their paths, in the order of NAMES. ConfigError as `check_target`; DataError when the
    folder cannot be written."""
    about = extra or Extra()
    check_target(out, force=force)
    contents = dict(_contents(result, assessments, config_text, zone, about))
    contents[HASHES] = _hashes(result, contents, about)
    try:
        _place(out, contents)
    except OSError as error:
        raise unwritable(f"the folder {out}", error) from None
    return [out / name for name in NAMES if name in contents]


def _place(out: Path, contents: Mapping[str, bytes]) -> None:
    """A new folder appears whole; in one that is there, files are replaced one by one, hashes.json as the last."""
    there = out.is_dir()
    if not there:
        out.parent.mkdir(parents=True, exist_ok=True)
    # Why inside a folder that is there: it may be a file system of its own, across which nothing is renamed.
    made = Path(tempfile.mkdtemp(prefix=".tbot-", dir=out if there else out.parent))
    try:
        for name, data in contents.items():
            _synced(made / name, data)
        if not there:
            made.chmod(0o777 & ~_umask())
            made.rename(out)
            return
        for name in NAMES:
            if name in contents:
                (made / name).replace(out / name)
            else:
                (out / name).unlink(missing_ok=True)  # of an earlier run: it does not belong to this one
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _synced(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _umask() -> int:
    """There is no way to read it but to set it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


# ------------------------------------------------------------------------------------------------ contents
def _contents(
    result: BacktestResult, assessments: Sequence[Assessment], config_text: str, zone: ZoneInfo, extra: Extra
) -> Iterator[tuple[str, bytes]]:
    rows = [row for account in result.accounts for row in trades(tables_of(result, account))]
    yield "trades.csv", _csv(TRADE_FIELDS, rows)
    parquet = _parquet(rows)
    if parquet is not None:
        yield "trades.parquet", parquet
    yield "equity.csv", _csv(("account", "at", "balance_usd"), (
        {"account": account, "at": iso(at_ns), "balance_usd": cents / 100}
        for account, at_ns, cents in result.equity.tolist()
    ))  # fmt: skip
    yield "signals.jsonl", b"".join(_signals(result))
    yield "denials.csv", _csv(("account", "at", "signal_id", "contract", "reason", "text"), (
        {"at": iso(denial.now_ns), **asdict(denial)} for denial in result.denials
    ))  # fmt: skip
    whole = document(result, assessments, extra=extra)
    yield "report.json", orjson.dumps(whole, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    # Without the extra the page is missing; whoever asks for it alone is told how to get it.
    with contextlib.suppress(ConfigError):
        yield "report.html", page(result, assessments, zone=zone, extra=extra).encode()
    yield "config.toml", config_text.encode()


def _csv(columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """A header and one line a row; None is an empty field."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(columns), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes | None:
    """The trades with typed columns, times as text like in CSV; None without pyarrow."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        return None
    kinds = {
        name: pyarrow.string() if name in _TEXT else pyarrow.int64() if name in _WHOLE else pyarrow.float64()
        for name in TRADE_FIELDS
    }
    table = pyarrow.table({
        name: pyarrow.array([row[name] for row in rows], kind) for name, kind in kinds.items()
    })  # fmt: skip
    out = io.BytesIO()
    pyarrow.parquet.write_table(table, out, compression="zstd")
    return out.getvalue()


def _signals(result: BacktestResult) -> Iterator[bytes]:
    """One line a signal: who took it, and why the others did not."""
    for signal, outcome in zip(result.signals, all_outcomes(result), strict=True):
        product = PRODUCTS[signal.contract]
        prices = {
            "bid": signal.quote.bid, "ask": signal.quote.ask, "stop": signal.stop, "target": signal.target,
        }  # fmt: skip
        line = {
            "signal_id": signal.signal_id,
            "decided": iso(signal.decided_ns),
            "contract": signal.contract,
            "side": "long" if signal.side > 0 else "short",
            **{name: float(product.to_price(ticks)) for name, ticks in prices.items()},
            "score": signal.score,
            "parts": signal.parts,
            "pattern": signal.why.zone.kind if signal.why else "",
            "timeframe_min": signal.zone_timeframe_min or None,
            "reason": signal.reason,
            "outcomes": [
                {
                    "account": account,
                    "taken": told == "taken",
                    "denied": told.reason if isinstance(told, Denial) else None,
                    "text": told.text if isinstance(told, Denial) else None,
                }
                for account, told in outcome.items()
            ],
        }
        yield orjson.dumps(finite(line), option=orjson.OPT_APPEND_NEWLINE)


def _hashes(result: BacktestResult, contents: Mapping[str, bytes], extra: Extra) -> bytes:
    whole = {
        "schema": "tbot.backtest.hashes",
        "version": 1,
        "plan_hash": result.plan_hash,
        "data_hash": result.data_hash,
        "tbot_version": extra.version,
        "seed": extra.seed,
        "data": list(extra.data),
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()},
    }
    return orjson.dumps(whole, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
