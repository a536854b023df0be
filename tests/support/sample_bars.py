"""Every real bar file as BAR_DTYPE arrays in ticks: what "on all sample data" means in a test."""

import csv
import datetime as dt
import functools

import numpy as np
import pyarrow.parquet

from shared_data import shared
from tbot_ext.bars import mark_session_breaks
from tbot_ext.records import BAR_DTYPE

# name: (file below data/, tick size, timeframe in minutes)
SAMPLES: dict[str, tuple[str, float, int]] = {
    "6B": ("market/bars_1m/6B_1m_tsx_20260308_20260327.parquet", 0.0001, 1),
    "6C": ("market/bars_1m/6C_1m_tsx_20260308_20260327.parquet", 0.00005, 1),
    "6E-2024": ("market/bars_1m/6EH4_1m_naut_202401.parquet", 0.00005, 1),
    "6E": ("market/bars_1m/6E_1m_tsx_20260308_20260327.parquet", 0.00005, 1),
    "6J": ("market/bars_1m/6J_1m_tsx_20260308_20260327.parquet", 0.0000005, 1),
    "6S": ("market/bars_1m/6S_1m_tsx_20260308_20260327.parquet", 0.00005, 1),
    "ES-2023": ("market/bars_1m/ES_1m_frd_20230308_20230323.parquet", 0.25, 1),
    "ES-2025": ("market/bars_1m/ES_1m_frd_20250420_20250506.parquet", 0.25, 1),
    "ES-2013": ("market/bars_1m/ES_1m_lean_trade_2013.parquet", 0.25, 1),
    "GC-2013": ("market/bars_1m/GC_1m_lean_trade_2013.parquet", 0.1, 1),
    "NQ-2023": ("market/bars_1m/NQ_1m_frd_20231119_20231204.parquet", 0.25, 1),
    "NQ-2026": ("market/bars_1m/NQ_1m_frd_20260524_20260608.parquet", 0.25, 1),
    "ES": ("market/bars_1m/ES_1m_tsx_20260120_20260318.parquet", 0.25, 1),
    "MES": ("market/bars_1m/MES_1m_tsx_20260120_20260318.parquet", 0.25, 1),
    "NQ": ("market/bars_1m/NQ_1m_tsx_20260120_20260318.parquet", 0.25, 1),
    "MNQ": ("market/bars_1m/MNQ_1m_tsx_20260120_20260318.parquet", 0.25, 1),
    "GC": ("market/bars_1m/GC_1m_tsx_20260120_20260318.parquet", 0.1, 1),
    "MGC": ("market/bars_1m/MGC_1m_tsx_20260121_20260318.parquet", 0.1, 1),
    "MGC-year": ("market/bars_1m/MGC_1m_dbn_front_20240701_20250630.parquet", 0.1, 1),
    "EURUSD": ("smc/EURUSD/EURUSD_15M.csv", 0.00001, 15),
    "ES-csv": ("smc/ES_201312_1m_20131006_09.csv", 0.25, 1),
    "GC-csv": ("smc/GC_201312_1m_20131008.csv", 0.1, 1),
}
EIGHT_WEEKS = ("NQ", "ES", "MNQ", "MES", "GC", "MGC")


def _csv_columns(path: str) -> dict[str, np.ndarray]:
    with shared(path).open() as lines:
        rows = [{name.lower(): value for name, value in row.items()} for row in csv.DictReader(lines)]
    starts = [dt.datetime.fromisoformat(row["date"].replace(".", "-") + "+00:00") for row in rows]
    columns = {"ts": np.array([int(start.timestamp()) * 1_000_000_000 for start in starts])}
    for name in ("open", "high", "low", "close", "volume"):
        columns[name] = np.array([float(row[name]) for row in rows])
    return columns


def _parquet_columns(path: str) -> dict[str, np.ndarray]:
    table = pyarrow.parquet.read_table(shared(path))
    columns = {name: table[name].to_numpy() for name in ("open", "high", "low", "close", "volume")}
    columns["ts"] = table["ts"].to_numpy().astype("datetime64[ns]").astype(np.int64)
    return columns


@functools.cache
def sample(name: str) -> np.ndarray:
    """The bars of a file, prices in ticks, session breaks marked; skips the test where the file is not there."""
    path, tick_size, minutes = SAMPLES[name]
    columns = _csv_columns(path) if path.endswith(".csv") else _parquet_columns(path)
    bars = np.zeros(len(columns["ts"]), BAR_DTYPE)
    bars["start_ns"], bars["timeframe_min"] = columns["ts"], minutes
    bars["volume"] = columns["volume"].astype(np.int64)
    for field in ("open", "high", "low", "close"):
        bars[field] = np.rint(columns[field] / tick_size).astype(np.int64)
    marked = mark_session_breaks(bars)
    marked.flags.writeable = False
    return marked
