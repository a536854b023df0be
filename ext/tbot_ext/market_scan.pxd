# Nothing for other modules: the scanner is driven from Python only.
