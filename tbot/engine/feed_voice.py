"""The feed's conversation with the executor: tokens and contracts come in, what the market hub met goes out."""

from tbot.domain.process_messages import TokenGrant, TokenRequest
from tbot.engine.settings import EngineSettings
from tbot.errors import ProtocolError
from tbot.gateway.tokens import Token, TokenManager
from tbot.transport import sockets
from tbot.transport.wire import Wire

LOOK_S = 0.05  # while there is no token, or the last one was refused, or there are no contracts
CALM_S = 0.2
RENEW_S = 1.0  # the executor takes a feed that is silent for 5 s for dead (engine/conditions.py)


class FeedVoice:
    """Holds no credentials: tokens are adopted from the executor, by revision, never backwards."""

    def __init__(self, settings: EngineSettings, wire: Wire, tokens: TokenManager) -> None:
        self._wire = wire
        self._tokens = tokens
        self._socket = sockets.dealer(settings.socket("executor"), b"feed")
        self._refused = 0  # newest revision that the hub did not accept
        self._generation = 0  # of the contracts that are fed
        self._granted = 0  # of the contracts below
        self._waited_s = RENEW_S
        self._said = (0, 0)
        self._adopted = 0  # newest revision that came
        self.contracts: dict[str, str] = {}
        self.legs: dict[str, str] = {}  # of the dollar index, those that are not traded
        self.missing_legs: dict[str, str] = {}  # why there is none
        self.used: Token | None = None  # of the newest connection

    @property
    def pause_s(self) -> float:
        """Until the next `listen`."""
        return CALM_S if self.contracts and self._tokens.current() is not None else LOOK_S

    @property
    def contracts_changed(self) -> bool:
        """There are other contracts than those that are fed."""
        return self._granted != self._generation

    def take_contracts(self) -> dict[str, str]:
        """The contracts to feed from now on."""
        self._generation = self._granted
        self._waited_s = RENEW_S
        return dict(self.contracts)

    @property
    def newest(self) -> Token | None:
        return self._tokens.current()

    async def token(self, refused: bool) -> str | None:
        """For the hub, before each attempt. A refused token is given up, and the executor hears of it."""
        if refused and self.used is not None:
            self._tokens.invalidate(self.used)
            self._refused = max(self._refused, self.used.revision)
            self._waited_s = RENEW_S
        token = self._tokens.current()
        if token is None:
            return None
        self.used = token
        return token.text

    def say(self, *, connects: int, logouts: int) -> None:
        """At once when there is news, often while there is no token to use, every few seconds else."""
        self._waited_s += self.pause_s
        token = self._tokens.current()
        if token is None:  # never had one, or the hub or the REST side did not accept it
            self._refused = max(self._refused, self._adopted)
        elif self._waited_s < RENEW_S and self._said == (connects, logouts):
            return
        have = 0 if token is None else token.revision
        request = TokenRequest(max(have, self._refused), self._generation, self._refused, connects, logouts)
        if self._socket.send(self._wire.encode(request)):
            self._waited_s = 0.0
            self._said = (connects, logouts)

    def listen(self) -> None:
        """Take in what the executor sent."""
        for _, data in self._socket.drain():
            try:
                message = self._wire.decode(data)
            except ProtocolError:
                continue
            if isinstance(message, TokenGrant):
                self._tokens.adopt(message.token, message.revision)
                self._adopted = max(self._adopted, message.revision)
                if message.generation > self._granted:
                    self._granted, self.contracts = message.generation, message.contracts
                    self.legs, self.missing_legs = message.legs, message.missing_legs

    def close(self) -> None:
        self._socket.close()
