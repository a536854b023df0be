"""What a person sees of a running engine: pure functions from the status document to text.

Layer 4: imports the domain and rich; knows nothing of processes. Start with `view`.
"""
