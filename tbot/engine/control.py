"""The control socket: how a person's command reaches the executor, with authority, once, and with a truthful answer.

A file socket in the run's private directory. Authority is a key in a file beside it that only the owner can read
(never argv, never the environment): each life of an executor makes a new one, and the wire's seal proves it, so what
another process sends without it is counted and dropped (F-SEC-04), as is a message that an earlier executor was meant
to get. A sound request is refused, and told so, when it is expired, of another run, or seen before (rule R8).

Light on purpose: the commands import the client, and `tbot kill` has 300 ms (no numpy, no settings).
"""

import secrets
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Literal

import zmq

from tbot.domain.control_messages import ControlReply, ControlRequest
from tbot.engine.clocks import NS_PER_S, boot_ns
from tbot.errors import ProtocolError, TbotError
from tbot.storage.control_key import read_key, write_key
from tbot.transport import sockets
from tbot.transport.frames import CONTROL, Frames
from tbot.transport.process_identity import myself

Verb = Literal["pause", "resume", "flatten", "kill", "ask"]

TTL_NS = 3 * NS_PER_S
MAX_TTL_NS = 10 * NS_PER_S  # nobody's command lives longer, whatever it says
KEPT_IDS = 4096
BATCH = 64  # requests looked at in one turn of the executor's loop


def socket_path(run_dir: Path) -> Path:
    """Where the executor of a run listens."""
    return run_dir / "control.sock"


class ControlServer:
    """The executor's end. `take` gives the requests to be carried out; answer each with `answer`."""

    def __init__(self, run_dir: Path, run_id: int) -> None:
        self.channel = sockets.router(socket_path(run_dir))
        self._key = write_key(run_dir, run_id, *myself())
        self._wire: Frames[ControlRequest | ControlReply] = Frames(self._key.key, run_id, 0, CONTROL)
        self._born_ns = boot_ns()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self.counts: Counter[str] = Counter()

    def take(self) -> list[tuple[bytes, ControlRequest]]:
        """Sound requests that have arrived, each with its sender; the others are answered or counted here."""
        found = []
        for sender, data in self.channel.drain(BATCH):
            try:
                message = self._wire.decode(data)
            except ProtocolError:
                self.counts["not_ours"] += 1  # no key, no answer
                continue
            if not isinstance(message, ControlRequest):
                self.counts["not_ours"] += 1
                continue
            why, text = self._refusal(message)
            if why:
                self.counts[f"refused_{why}"] += 1
                self.answer(sender, ControlReply(message.request_id, why, text))
                continue
            self._seen[message.request_id] = None
            if len(self._seen) > KEPT_IDS:
                self._seen.popitem(last=False)
            self.counts["taken"] += 1
            found.append((sender, message))
        return found

    def _refusal(self, message: ControlRequest) -> tuple[str, str]:
        now_ns = boot_ns()
        age_ns = now_ns - message.sent_boot_ns
        if message.run_id != self._key.run_id:
            return "run", "this command belongs to another run; nothing was done"
        if message.request_id in self._seen:
            return "seen", "this command was taken before; it was not done again"
        if message.sent_boot_ns < self._born_ns:
            return "expired", "this command is older than the executor that runs now; nothing was done"
        if age_ns > min(message.ttl_ns, MAX_TTL_NS) or age_ns < -NS_PER_S:
            return "expired", f"this command is {age_ns / NS_PER_S:.1f} s old; nothing was done"
        return "", ""

    def answer(self, sender: bytes, reply: ControlReply) -> bool:
        """False, and counted, when the asker is gone: nothing waits for it (F-IPC-02)."""
        sent = self.channel.send(self._wire.encode(reply), sender)
        self.counts["unanswered"] += not sent
        return sent

    def status(self) -> dict[str, int]:
        """What came, by what became of it."""
        return {**self.counts, "malformed": self.channel.malformed}

    def close(self) -> None:
        self.channel.close(linger_ms=sockets.LINGER_MS)  # somebody may wait for the last answer


class ControlClient:
    """A command's end. Never waits longer than it is told; None is the answer of an executor that says nothing."""

    def __init__(self, run_dir: Path) -> None:
        """ProtocolError when the run has no control socket."""
        key = read_key(run_dir)
        if key is None:
            raise ProtocolError(f"the run in {run_dir} has no control socket")
        self.key = key
        self._wire: Frames[ControlRequest | ControlReply] = Frames(key.key, key.run_id, 0, CONTROL)
        self._channel = sockets.dealer(socket_path(run_dir), b"op-" + secrets.token_hex(8).encode())

    def ask(
        self, verb: Verb, account: int | None = None, contract: str | None = None, *, patience_s: float
    ) -> ControlReply | None:
        """Send one request and wait for its own answer."""
        end_ns = boot_ns() + int(patience_s * NS_PER_S)
        if not self._channel.writable(int(patience_s * NS_PER_S)):
            return None
        request_id = secrets.token_hex(8)
        request = ControlRequest(request_id, verb, self.key.run_id, boot_ns(), TTL_NS, account, contract)
        if not self._channel.send(self._wire.encode(request)):
            return None
        waiter = sockets.Waiter(self._channel)
        while (left_ns := end_ns - boot_ns()) > 0:
            waiter.wait(left_ns)
            for _, data in self._channel.drain():
                try:
                    message = self._wire.decode(data)
                except ProtocolError:
                    continue
                if isinstance(message, ControlReply) and message.request_id == request_id:
                    return message
        return None

    def close(self) -> None:
        self._channel.close()


def ask_once(
    run_dir: Path, verb: Verb, account: int | None = None, contract: str | None = None, *, patience_s: float
) -> ControlReply | None:
    """One question on a connection of its own; None whatever the reason for which no answer came."""
    try:
        client = ControlClient(run_dir)
    except (OSError, ValueError, TbotError, zmq.ZMQError):
        return None
    try:
        return client.ask(verb, account, contract, patience_s=patience_s)
    except zmq.ZMQError:
        return None
    finally:
        client.close()
