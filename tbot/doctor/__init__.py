"""`tbot doctor`: is this machine fit to trade, and does the gateway answer as we know it? Looks only, changes nothing.

`findings` runs checks and tells their results, `machine` looks at this computer, `online` and `hubs` at the gateway.
"""
