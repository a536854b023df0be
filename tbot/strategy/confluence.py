"""What makes up the score of a signal. Formulas: smc.md section 11; every component lies between 0 and 1.

The sum itself is `SetupBook._judge` (tbot_ext), which is given these numbers.
"""

MTF_WEIGHTS: dict[int, float] = {60: 0.35, 30: 0.25, 15: 0.25, 5: 0.15}  # of the trends, by timeframe in minutes
SCORE_WEIGHTS: dict[str, float] = {"zone": 0.35, "mtf": 0.25, "trigger": 0.15, "confluence": 0.15, "location": 0.10}
# Worth of a setup's triggers.
SWEEP_AND_SHIFT, SWEEP_ALONE, SHIFT_ALONE = 1.0, 0.7, 0.5
