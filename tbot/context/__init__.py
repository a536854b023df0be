"""Slow outside facts, from their sources to the CONTEXT records that deciders see: the dollar index and the news."""
