# Nothing for other modules: what a SetupBook has found is told to Python only.
