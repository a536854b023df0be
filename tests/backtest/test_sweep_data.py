"""The file of records of a sweep: what cannot be read and what cannot be written are told apart; no half is left."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from small_files import files_up_to
from tbot.backtest.sweep_data import remove, sees, write_stream
from tbot.errors import DataError
from tbot.storage.tick_stream import Ticks
from tbot_ext.records import TICK_DTYPE


class Planted:
    """A source of two parts, behind which reading may fail."""

    def __init__(self, error: Exception | None = None, records: int = 10) -> None:
        self.contracts = {1: "MNQ"}
        self.data_hash = "data"
        self.notes = ()
        self._error = error
        self._records = records

    def stream(self) -> Iterator[Ticks]:
        yield np.zeros(self._records, TICK_DTYPE)
        if self._error is not None:
            raise self._error
        yield np.zeros(self._records, TICK_DTYPE)


@pytest.fixture
def limit() -> Iterator[int]:
    """The most bytes a file may have: stands for the full disk."""
    with files_up_to(100):
        yield 100


def test_a_stream_is_written_and_seen(tmp_path: Path) -> None:
    shipment = write_stream(Planted(), tmp_path / "records.bin")
    assert (shipment.records, sees(shipment)) == (20, True)
    remove(shipment)
    assert not list(tmp_path.iterdir())


def test_records_that_cannot_be_removed_spoil_nothing(tmp_path: Path) -> None:
    shipment = write_stream(Planted(), tmp_path / "records.bin")
    (tmp_path / "records.bin").unlink()
    (tmp_path / "records.bin").mkdir()  # stands for a folder that was made read-only meanwhile
    remove(shipment)
    assert (tmp_path / "records.bin").is_dir()


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), DataError("the tape is damaged")])
def test_an_error_of_reading_is_told_as_what_it_is(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        write_stream(Planted(error), tmp_path / "records.bin")
    assert caught.value is error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("records", [10, 10_000], ids=["when closed", "when written"])
def test_F_SYS_01_no_room_for_the_records(tmp_path: Path, limit: int, records: int) -> None:
    with pytest.raises(DataError, match=r"cannot be written \(File too large\)"):
        write_stream(Planted(records=records), tmp_path / "records.bin")
    assert not list(tmp_path.iterdir())


def test_no_room_while_reading_fails_is_the_error_of_reading(tmp_path: Path, limit: int) -> None:
    """What lay in the buffer cannot be written either, but is not wanted any more."""
    with pytest.raises(OSError, match="Input/output error"):
        write_stream(Planted(OSError(5, "Input/output error")), tmp_path / "records.bin")
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "records.bin").mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        write_stream(Planted(), tmp_path / "records.bin")
    assert (tmp_path / "records.bin").is_dir()


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), None], ids=["reading", "writing"])
def test_a_half_that_cannot_be_removed_hides_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, error: OSError | None
) -> None:
    def refuse(_path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises((OSError, DataError), match="File too large" if error is None else "Input/output error"):
        write_stream(Planted(error), tmp_path / "records.bin")
