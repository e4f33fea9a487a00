"""xgboost, imported for scoring without scikit-learn. xgboost would load scikit-learn where it is installed,
which takes 0.9 s of a processor. Its wrappers for scikit-learn then do not work in this process; nothing here
uses them.
"""

from __future__ import annotations

import sys
import threading
from types import ModuleType

_SLOW = "sklearn"
_lock = threading.Lock()


def xgboost() -> ModuleType:
    """The module; scikit-learn itself can still be imported afterwards."""
    with _lock:
        hide = _SLOW not in sys.modules and "xgboost" not in sys.modules
        if hide:
            sys.modules[_SLOW] = None  # type: ignore[assignment]  # an import of it fails, as if it were absent
        try:
            import xgboost as library
        finally:
            if hide:
                del sys.modules[_SLOW]
    return library
