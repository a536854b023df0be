"""`tbot import`: foreign tick and bar files to tapes."""

from pathlib import Path

import click

from tbot.commands.options import DataFile, Symbol, Zone
from tbot.domain.words import plural
from tbot.errors import ConfigError


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=DataFile())
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Tape to write.  [default: <first file>.tape]")
@click.option("--contract", type=Symbol(), help="Symbol of the data, when the file name does not tell it.")
@click.option("--tz", "zone", type=Zone(), help="Time zone of stamps that do not carry one.")
@click.option("--force", is_flag=True, help="Overwrite an existing tape.")
def import_data(files: tuple[Path, ...], out: Path | None, contract: str | None, zone: str | None, force: bool) -> int:
    """Turn FILES (CSV or Parquet; ticks, quotes or 1m bars) into one tape, merged by exchange time."""
    from tbot.storage.importers import import_files

    target = out or files[0].with_suffix(".tape")
    if target.exists() and not force:
        raise ConfigError(f"{target} exists already; choose another --out, or --force to overwrite it")
    summary = import_files(files, target, contract=contract, tz=zone, force=force)
    symbols = ", ".join(contract["symbol"] for contract in summary["contracts"].values())
    ticks, out_of = plural(summary["ticks"], "tick"), plural(len(summary["files"]), "file")
    click.echo(f"{target}: {ticks} of {symbols} from {out_of}")
    for note in summary["notes"]:
        click.echo(f"  {note}")
    return 0
