"""T-BOT: trades TopstepX evaluation accounts with Smart Money Concepts, on its owner's machine; paper by default."""

__version__ = "0.1.0"
