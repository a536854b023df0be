"""Every option has words, its range is what the struct really takes, and page, schema and code say the same."""

import json
from pathlib import Path
from typing import Any

import pytest

from tbot.config import CHOICES, Config, of_document
from tbot.errors import ConfigError
from tbot.settings.options import REQUIRED, Option, options, plain, structs
from tbot.settings.page import page
from tbot.settings.schema import json_schema
from tbot.settings.words import SECTIONS, WORDS

ROOT = Path(__file__).resolve().parents[2]
WRONG: dict[str, Any] = {
    "whole number": True, "number": "five", "text": 5, "true or false": 1, "list of texts": 5,
    "list of whole numbers": ["a"], "table": 5,
}  # fmt: skip


def document(option: Option, value: Any) -> dict[str, Any]:
    """A settings document with this one value in it."""
    if option.section == "accounts":
        return {"accounts": [{"id": 1, "name": "x", option.key: value}]}
    beside = {"strategy.entry_timeframe_min": {"zone_timeframes_min": [60]}}.get(option.name, {})
    return {option.section: {option.key: value, **beside}}


def refusal(option: Option, value: Any) -> str:
    try:
        of_document(document(option, value), "the test")
    except ConfigError as error:
        return str(error)
    return ""


def test_every_option_and_section_has_words_and_no_other() -> None:
    names = [option.name for option in options()]
    assert sorted(WORDS) == sorted(names), "write into tbot/settings/words.py what each option means"
    assert list(SECTIONS) == list(structs())
    assert all(word.text.endswith((".", "...", ").", "}.")) for word in WORDS.values())


@pytest.mark.parametrize("option", options(), ids=lambda option: option.name)
def test_F_CFG_03_every_option_refuses_the_wrong_type_and_names_itself(option: Option) -> None:
    said = refusal(option, WRONG[option.kind])
    assert option.key in said
    assert option.section in said


@pytest.mark.parametrize("option", [one for one in options() if one.low is not None], ids=lambda option: option.name)
def test_F_CFG_03_the_lower_end_holds(option: Option) -> None:
    step = 1 if option.kind == "whole number" else 0.001
    assert option.low is not None
    assert refusal(option, kind(option, option.low - step))
    if option.name != "risk.quote_stale_ns":  # must also be as long as another
        assert refusal(option, kind(option, option.low)) == ""


@pytest.mark.parametrize("option", [one for one in options() if one.high is not None], ids=lambda option: option.name)
def test_F_CFG_03_the_upper_end_holds(option: Option) -> None:
    step = 1 if option.kind == "whole number" else 0.001
    assert option.high is not None
    assert refusal(option, kind(option, option.high + step))
    assert refusal(option, kind(option, option.high)) == ""


def kind(option: Option, value: float) -> int | float:
    return int(value) if option.kind == "whole number" else float(value)


@pytest.mark.parametrize("option", [one for one in options() if one.word.choices], ids=lambda option: option.name)
def test_F_CFG_03_every_choice_is_taken_and_nothing_else(option: Option) -> None:
    for choice in option.word.choices:
        assert refusal(option, choice) == ""
    assert refusal(option, "sometimes" if isinstance(option.word.choices[0], str) else 7)
    assert set(CHOICES.get(option.key, option.word.choices)) == set(option.word.choices)


def test_all_defaults_written_out_are_the_built_in_configuration() -> None:
    values: dict[str, Any] = {}
    for option in options():
        if option.section not in ("accounts", "fills"):
            values.setdefault(option.section, {})[option.key] = plain(option.default)
    assert of_document(values, "the test") == Config()


def test_the_page_is_the_code() -> None:
    """Make it anew by `tbot config options --markdown > docs/configuration.md`."""
    written = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert written == page()
    assert all(f"| `{option.key}` |" in written for option in options())


def test_the_schema_has_every_option_with_its_type_range_and_default() -> None:
    schema = json.loads(json.dumps(json_schema()))
    assert schema["additionalProperties"] is False
    types = {"whole number": "integer", "number": "number", "text": "string", "true or false": "boolean"}
    for option in options():
        section = schema["properties"][option.section]
        section = section["items"] if option.section == "accounts" else section
        found = section["properties"][option.key]
        if option.name != "accounts.risk":
            assert found["description"] == option.word.text
            assert found["type"] == types.get(option.kind, "array" if option.kind.startswith("list") else "object")
            assert found.get("minimum") == option.low
            assert found.get("maximum") == option.high
            assert found.get("enum", []) == list(option.word.choices)
            if option.default not in (None, REQUIRED):
                assert found["default"] == plain(option.default)
    assert schema["properties"]["accounts"]["items"]["required"] == ["id", "name"]
    own = schema["properties"]["accounts"]["items"]["properties"]["risk"]["properties"]
    assert own["daily_loss_cents"]["maximum"] == 80_000
    assert "proof_ns" not in own
