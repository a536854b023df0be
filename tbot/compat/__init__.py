"""Drop-ins for other libraries: their names and their results, from our compiled kernels.

Layer 4: numpy and compiled code only; nothing of ours uses it. `smc` stands for `smartmoneyconcepts`.
"""
