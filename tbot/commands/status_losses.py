"""What of a status document says that something was lost between processes: one line, or none in a healthy run."""

from typing import Any

from tbot.domain.words import plural

# By key of `messages`: what is counted, and what happened to it.
_WORDS = {
    "signals_not_sent": ("signal", "not sent (no executor answered)"),
    "signals_refused": ("signal", "refused (the executor was starting)"),
    "signals_unacknowledged": ("signal", "not acknowledged"),
    "prices_lost": ("price record", "lost by the executor"),
    "outcomes_not_sent": ("outcome", "not sent to the recorder"),
    "outcomes_unacknowledged": ("outcome", "not acknowledged by the recorder"),
    "lines_dropped": ("line", "for the screen and the log not taken by the launcher"),
    "bad": ("bad message", "dropped"),
}


def loss_lines(document: dict[str, Any]) -> list[str]:
    """Words for what was lost; a document from before these were counted has none."""
    counted = document.get("messages", {})
    told = [f"{plural(counted[key], what)} {how}" for key, (what, how) in _WORDS.items() if counted.get(key)]
    return [f"! between processes: {', '.join(told)}"] if told else []
