"""Messages to the owner's phone or mail: what is told, how often, by which services. None of it can hold up a run."""
