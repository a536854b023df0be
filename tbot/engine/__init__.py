"""The processes of the engine: each module with a `main` is one process's loop and nothing else.

Layer 4: may import everything below it; not the simulator, backtest or screens. Start with `supervisor` (who starts
whom), then `feed`, `worker`, `executor`.
"""
