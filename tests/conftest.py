"""What every test has in common."""

import os
import signal
import sysconfig

# torch.compile imports distutils, and setuptools after it, which wants to be the first.
import setuptools  # noqa: F401
from hypothesis import settings

# A busy machine is no fault of the code, and the same commit tries the same examples.
settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.load_profile("suite")

# A shell has its background jobs ignore Ctrl-C, and what tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Users' programs are started as `python …`, as in an activated environment.
os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
