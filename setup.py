"""Extension modules and compiler flags; everything static stands in pyproject.toml.

Flavours (environment variables):
    TBOT_CHECKED=1   bounds, wraparound and initialisation checks on, -O1: run the tests of the extensions under it
    TBOT_LINES=1     annotated HTML beside the C code, whose comments name its lines: for bench/profile_worker.py
    TBOT_NATIVE=1    -march=native: never for a wheel, fused multiply-add lets results differ between machines
After switching flavour pass --force to build_ext.
"""

import compileall
import os
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

CHECKED = os.environ.get("TBOT_CHECKED") == "1"
NATIVE = os.environ.get("TBOT_NATIVE") == "1"
LINES = os.environ.get("TBOT_LINES") == "1"
FLAVOUR = "lines" if LINES else "checked" if CHECKED else "release"

# Line tables alone are what profilers need of debug information; with all of it a core install would pass its 130 MB.
SYMBOLS = "-g" if CHECKED or LINES else "-g1"
# -ffp-contract=off: the same inputs give the same floats on every machine (scores are part of the proofs).
CFLAGS = ["-std=c11", "-O1" if CHECKED else "-O3", SYMBOLS, "-Wall", "-Wextra", "-ffp-contract=off"]
if NATIVE:
    CFLAGS.append("-march=native")

DIRECTIVES = {
    "language_level": "3",
    "boundscheck": CHECKED,
    "wraparound": CHECKED,
    "initializedcheck": CHECKED,
    "cdivision": not CHECKED,
    "embedsignature": True,
}
HEADERS = glob("ext/include/*.h")
MODULES = sorted(os.path.splitext(os.path.basename(path))[0] for path in glob("ext/tbot_ext/*.pyx"))

EXTENSIONS = [
    Extension(
        f"tbot_ext.{name}",
        [f"ext/tbot_ext/{name}.pyx"],
        include_dirs=["ext/include"],
        depends=HEADERS,
        define_macros=[("TBOT_CHECKED", "1" if CHECKED else "0")],
        extra_compile_args=CFLAGS,
    )
    for name in MODULES
]


class BuildExt(build_ext):
    """Where the checkout itself is installed, its bytecode is compiled too, as pip does for all that it copies.

    Why: with PYTHONDONTWRITEBYTECODE, which many containers set, or in a checkout of another user, each process of the
    engine would compile two hundred modules anew at every start.
    """

    def run(self) -> None:
        super().run()
        if self.inplace or self.editable_mode:
            compileall.compile_dir("tbot", quiet=1)


setup(
    cmdclass={"build_ext": BuildExt},
    ext_modules=cythonize(
        EXTENSIONS,
        include_path=["ext"],
        compiler_directives=DIRECTIVES,
        build_dir=f"build/cython-{FLAVOUR}",
        annotate=LINES,
        nthreads=os.cpu_count() or 1,
    ),
    options={
        "build_ext": {"parallel": os.cpu_count() or 1},
        **({"build": {"build_temp": "build/temp-lines"}} if LINES else {}),  # objects of another flavour are no use
    },
)
