"""The compiled core: shared-memory records and ring, bars, indicators, zones, and the pipeline that joins them.

Imports nothing of `tbot`. Start with `records` (the layouts), then `pipeline` (what one contract's worker runs).
"""
