"""A process that runs out of file descriptors, then has to get out of a position: `python descriptor_child.py KEPT`.

Gateway and login come as JSON on stdin; the broker's answers go to stdout.
"""

import contextlib
import json
import os
import resource
import select
import sys
import time

from tbot.domain.messages import BrokerEvent, CancelOrder, CloseContract, Command, CommandResult, Query, Snapshot
from tbot.gateway import reserve
from tbot.gateway.codec_domain import ContractBook
from tbot.gateway.live_broker import LiveBroker
from tbot.gateway.redact import Credentials
from tbot.gateway.rest import OrderClient

ACCOUNT = 1001


def main() -> None:
    given = json.load(sys.stdin)
    reserve.KEPT = int(sys.argv[1])
    reserve.DescriptorReserve.keep.__defaults__ = (reserve.KEPT,)
    rest = OrderClient(given["gateway"], Credentials(*given["login"]))
    broker = LiveBroker(rest, "", ContractBook({"MNQ": given["contract"]}), [ACCOUNT], lambda: 1)

    def ask(command: Command) -> BrokerEvent:
        broker.submit(command, 1)
        while True:
            select.select([broker.fileno()], [], [], 30.0)
            events = broker.poll()
            if events:
                return events[0]

    first = ask(Query("q0", ACCOUNT, 1))
    assert isinstance(first, Snapshot)
    assert first.complete, first.text
    rest._exchange.close()  # a connection that waits would need no descriptor
    exhaust()
    for number, order in enumerate(first.orders):
        if order.tag or order.order_type == "limit":
            answer = ask(CancelOrder(f"c{number}", ACCOUNT, "MNQ", order.order_id))
            assert isinstance(answer, CommandResult)
    answer = ask(CloseContract("close", ACCOUNT, "MNQ", "test"))
    assert isinstance(answer, CommandResult)
    rest._exchange.close()
    for number in range(1, 40):  # a market order that was accepted fills with the next tick
        last = ask(Query(f"q{number}", ACCOUNT, 1))
        assert isinstance(last, Snapshot)
        if answer.outcome != "accepted" or (last.complete and not last.positions):
            break
        time.sleep(0.1)
    positions = [position.size for position in last.positions]
    said = {"close": answer.outcome, "complete": last.complete, "positions": positions, "left": len(reserve.RESERVE)}
    print(json.dumps(said))


def exhaust() -> None:
    """Take every descriptor that there is."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    with contextlib.suppress(OSError):
        while True:
            os.open(os.devnull, os.O_RDONLY)


if __name__ == "__main__":
    main()
