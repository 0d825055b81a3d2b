"""A process of this package that another one started ends when that one is killed."""

import os
import threading
import time
from collections.abc import Mapping

from mediswift_cs.storage.lock import is_gone

_VARIABLE = "MEDISWIFT_PARENT"
_SECONDS_BETWEEN_LOOKS = 1.0


def environment_of_child(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment to start a process in that calls :func:`end_with_parent`."""
    return {**environment, _VARIABLE: str(os.getpid())}


def end_with_parent() -> None:
    """Watch over the process that started this one, if it is one of this package.

    A killed process cannot end what it has started, which would go on writing into its folders.
    """
    parent = os.environ.get(_VARIABLE)
    if parent is None or not parent.isdecimal():
        return
    if is_gone(int(parent)):
        # It was killed while this process began.
        os._exit(1)
    # A process further down has inherited the variable and has another parent.
    if os.getppid() != int(parent):
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
