"""The emergency exit (rule R14): credentials and REST, nothing else. It works while everything else is dead or wedged.

No ZeroMQ, no shared memory, no SQLite, no compiled code of ours, no state of the engine. Whatever is imported here must
stay free of them; a test looks at the modules that a process of it has loaded.
"""
