"""Take the place of dbkit where another environment's interpreter looks for it, and lead to the package itself."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

# by its longer name, it is imported by what walks through all modules of a package
if __name__ == "dbkit":
    _package = Path(__file__).resolve().parents[3]
    _spec = spec_from_file_location("dbkit", _package / "__init__.py", submodule_search_locations=[str(_package)])
    assert _spec  # noqa: S101  # it is a file of Python
    assert _spec.loader  # noqa: S101
    # the import system returns what is registered here, and not this module
    _module = sys.modules["dbkit"] = module_from_spec(_spec)
    _spec.loader.exec_module(_module)

    from dbkit.foreign_python import finder

    finder.install()
