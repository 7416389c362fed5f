"""Driver commands of the platform: `python -m platform.tune` and its neighbours.

The folder bears the name of a standard module that torch, Ray, pandas and pytest import and call. This package stands
in for it: on import it executes the standard library's `platform.py` in its own namespace, so that `platform.system()`
and `import platform.tune` both work. The attributes that identify the package (`__name__`, `__path__`, `__file__`,
`__spec__`, `__doc__`) stay those of the package.

A Ray worker usually starts with the standard module instead. Nothing that is handed to Ray may be defined here, and
nothing in `trainables/` may import it.
"""

import importlib.machinery as _machinery
import sysconfig as _sysconfig
from types import CodeType as _CodeType
from typing import TYPE_CHECKING
from typing import Any as _Any

if TYPE_CHECKING:

    def __getattr__(name: str) -> _Any: ...


def _standard_library_code() -> _CodeType:
    """Return the compiled body of the standard library's `platform.py`, from its cached bytecode where there is one.

    Raises:
        ImportError: The standard library holds no readable `platform` module where `sysconfig` locates it.
    """
    folder = _sysconfig.get_path("stdlib")
    spec = _machinery.PathFinder.find_spec("platform", [folder])
    code = spec.loader.get_code("platform") if spec and isinstance(spec.loader, _machinery.SourceFileLoader) else None
    if code is None:
        raise ImportError(
            f"expected the standard library's platform.py in {folder}, but got none; reinstall this Python"
        )
    return code


_doc = __doc__
exec(_standard_library_code(), globals())  # the purpose of this file; the code is the interpreter's own
__doc__ = _doc
