"""The errors that are the user's to mend; the command line prints them and exits with 2.

A message says what is wrong, what was found, what is allowed, and where. Mistakes of this
package's own are assertions, never one of these.
"""

import sys
from collections.abc import Callable

USER_ERROR_EXIT_CODE = 2


class MediSwiftError(Exception):
    """Base of everything that a user can mend."""


class ConfigError(MediSwiftError, ValueError):
    """A params file, an option or an environment setting is wrong."""


class DataError(MediSwiftError):
    """An input file, a corpus, a tokenizer or a shard is wrong."""


class CheckpointError(MediSwiftError):
    """A checkpoint is unreadable or does not fit the model."""


def exit_code_of(job: Callable[[], int]) -> int:
    """The exit code of a command; a MediSwiftError is one line on standard error, and 2."""
    try:
        return job()
    except MediSwiftError as error:
        print(f"error: {error}", file=sys.stderr)
        return USER_ERROR_EXIT_CODE
