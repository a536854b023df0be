"""What a status document says of the outside facts and of messages, in words: news, the dollar index, [notify]."""

from typing import Any

from tbot.domain.words import plural
from tbot.gateway.redact import plain

POLICIES = {"ignore": "the filter is off meanwhile", "block": "no entries meanwhile"}


def context_lines(document: dict[str, Any]) -> list[str]:
    """A line or two for each that this run follows; what a person should look at begins with "!"."""
    news, dxy = document.get("news"), document.get("dxy")
    notify = document.get("notify")
    return [
        *(_news(news) if news else []),
        *(_dollar(dxy) if dxy else []),
        *(_messages(notify) if notify else []),
    ]


def _news(news: dict[str, Any]) -> list[str]:
    actions = [f"{symbol} {action}" for symbol, action in news["actions"].items() if action != "none"]
    ahead = [f"{row['time'][:16]}Z {row['currency']} {row['impact']} {row['title']}" for row in news["next"][:1]]
    age_s = news["age_s"] or 0
    old = f"{age_s // 3600} h" if age_s < 172_800 else f"{age_s // 86_400} days"
    age = "of unknown age" if news["age_s"] is None else f"{old} old"
    text = [f"news  {', '.join(actions) or 'none now'}  next {ahead[0] if ahead else 'n/a'}  calendar {age}"]
    if news["stale"]:
        text.append("! news: nobody knows what is scheduled now; see tbot news")
    return [plain(line, 160) for line in text]


def _dollar(dxy: dict[str, Any]) -> list[str]:
    text = []
    if dxy["index"] is not None:
        shares = [f"{name} {'n/a' if share is None else f'{share:+.2f}'}" for name, share in dxy["correlation"].items()]
        trend = {"none": "no trend"}.get(dxy["trend"], dxy["trend"])
        told = f"dollar index {dxy['index']:.3f}  {trend}  {dxy['age_s']} s old"
        text.append(f"{told}  correlation {', '.join(shares)}  filter {dxy['filter']}")
    if dxy["stale"]:
        then = "" if dxy["filter"] == "off" else f"; {POLICIES[dxy['stale_policy']]}"
        text.append(f"! dollar index: {dxy['problem'] or 'it stopped coming'}{then}")
    text += [f"! dollar index: {count} times {name}; report this" for name, count in dxy["errors"].items()]
    return [plain(line, 200) for line in text]


def _messages(notify: dict[str, Any]) -> list[str]:
    rows = notify["services"]
    told = ", ".join(f"{row['service']} {row['sent']} sent" for row in rows)
    text = [f"messages  {told}  {notify['waiting']} waiting"] if rows else []
    text += [
        f"! messages: {row['service']} does not take them ({row['failed']} failed); see tbot notify test"
        for row in rows
        if row["failing"]
    ]
    if notify["not_understood"]:
        addresses = plural(notify["not_understood"], "address is", "addresses are")
        text.append(f"! messages: {addresses} not understood; see tbot notify test")
    if notify["trouble"]:
        text.append(f"! messages: none are sent: {notify['trouble']}")
    if notify["left_out"] or notify["lost"]:
        out, lost = plural(notify["left_out"], "line"), plural(notify["lost"], "message")
        text.append(f"! messages: {out} left out, {lost} lost")
    return [plain(line, 200) for line in text]
