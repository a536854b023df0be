# Called from Python only (tbot.compat): nothing here is for other compiled modules.
