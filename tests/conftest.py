"""Settings for every test: hypothesis measures no time (a busy machine is no failure) and tells how to repeat one."""

from hypothesis import settings

settings.register_profile("tbot", deadline=None, print_blob=True)
settings.load_profile("tbot")
