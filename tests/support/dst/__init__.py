"""Deterministic simulation: the real Desk, broker adapters, journal and simulated exchange in one process.

A run is a function of its seed: virtual clock, seeded scheduler, faults in network, disk, messages and processes, and a
referee that looks after every event (failure-model.md sections 7 and 8). `python -m dst --seed N` repeats one.

    evidence.py   what the referee may look at: kept by the world, read by the checks
    world.py      the market, the exchange, the executor (real parts) and its deaths, under one virtual clock
    referee.py    calls every check after every event; a violation names invariant, time and what was seen
    checks_*.py   one function for each invariant, by number
    mutants.py    engines that are broken on purpose, one or more for each invariant
"""
