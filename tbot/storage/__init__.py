"""Everything that is kept on disk: tapes of ticks, the journal of the executor, foreign data files read into tapes.

Layer 3: may import tbot_ext, the domain and the deciders' types, and do file I/O; nothing above it.
Start with `tape` (recorded ticks), then `tick_stream` (what every source does to them) and `importers`.
"""
