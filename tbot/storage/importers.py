"""`tbot import`: foreign files and tapes, merged, as one new tape."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tbot.domain.contracts import BY_ID
from tbot.errors import DataError
from tbot.storage.foreign import BAR_END, BAR_RULE, FIRST_PRINT_NS, ForeignData, bars_to_ticks, read_foreign
from tbot.storage.sources import open_sources
from tbot.storage.tape import TapeWriter, tape_meta

__all__ = [
    "BAR_END", "BAR_RULE", "FIRST_PRINT_NS", "ForeignData", "bars_to_ticks", "import_files", "read_foreign",
]  # fmt: skip


def import_files(
    paths: Sequence[Path], out: Path, *, contract: str | None = None, tz: str | None = None, force: bool = False
) -> dict[str, Any]:
    """Read foreign files and write them, merged, as one new tape; returns the tape's meta with counts.

    Nothing is written when a file is refused, and a tape stands there whole or not at all. DataError when `out`
    exists, unless `force` lets it be replaced.
    """
    if out.exists() and not out.is_file():
        raise DataError(f"{out} is no file, and is not replaced by one; name another one.")
    if out.exists() and not force:
        raise DataError(f"{out} exists already; name another one.")
    with open_sources(paths, contract, tz) as source:
        extra: dict[str, Any] = {
            "files": source.files,
            "ticks": source.records + source.rolls_between,
            "months": {symbol: list(source.months(number)) for number, symbol in source.contracts.items()},
            "notes": list(source.notes),
            "data_hash": source.data_hash,
        }
        if "bars" in source.content.values():
            extra["bar_rule"] = BAR_RULE
        meta = tape_meta([BY_ID[number] for number in source.contracts], "import", **extra)
        unfinished = out.with_name(f".{out.name}.{os.getpid()}")
        try:
            with TapeWriter(unfinished, meta) as writer:
                for chunk in source.chunks():
                    writer.write(chunk)
            unfinished.replace(out)
        except OSError as error:
            raise DataError(f"{out} cannot be written: {error.strerror or error}.") from error
        finally:
            unfinished.unlink(missing_ok=True)
    return meta
