"""The API reference from the docstrings, a page a module: ``python .ci/api_reference.py FOLDER``.

A module that cannot be imported and a name of ``__all__`` that is not there are errors. Names in docstrings that mean
nothing are found by tests/test_docs.py.
"""

import pkgutil
import sys
import warnings
from importlib import import_module
from pathlib import Path

import pdoc

import radrl

modules = ["radrl", *(module.name for module in pkgutil.walk_packages(radrl.__path__, "radrl."))]
modules = [name for name in modules if "._" not in name]
for module in map(import_module, modules):
    for name in getattr(module, "__all__", ()):
        setattr(module, name, getattr(module, name))  # pdoc sees only what is loaded, and some names are lazy
warnings.simplefilter("error", UserWarning)
# constructors of NamedTuple keep annotations as text that only their own module can read; their fields are shown
warnings.filterwarnings("ignore", "Error parsing type annotation", UserWarning)
# pdoc goes into packages by itself, but not into those with __all__: all modules are named to it, some twice
warnings.filterwarnings("ignore", "The module specification", UserWarning)
pdoc.render.configure(docformat="google")
pdoc.pdoc(*modules, output_directory=Path(sys.argv[1]))
