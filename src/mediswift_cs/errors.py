"""The errors that are the user's to mend; the command line prints them and exits with 2.

A message says what is wrong, what was found, what is allowed, and where. Mistakes of this
package's own are assertions, never one of these.
"""

JOB_FAILED_EXIT_CODE = 1
USER_ERROR_EXIT_CODE = 2
# What shells report for a process that Ctrl-C ended.
INTERRUPTED_EXIT_CODE = 130


class MediSwiftError(Exception):
    """Base of everything that a user can mend."""

    exit_code = USER_ERROR_EXIT_CODE


class ConfigError(MediSwiftError, ValueError):
    """A params file, an option or an environment setting is wrong."""


class DataError(MediSwiftError):
    """An input file, a corpus, a tokenizer or a shard is wrong."""


class CheckpointError(MediSwiftError):
    """A checkpoint is unreadable or does not fit the model."""


class TrainingError(MediSwiftError):
    """A run cannot go on, because its numbers are not finite any more."""

    exit_code = JOB_FAILED_EXIT_CODE
