"""The one line in site-packages that lets ModelZoo's stock commands see our models."""

import subprocess
import sys
import sysconfig
from pathlib import Path

from mediswift_cs.errors import ConfigError

FILE_NAME = "mediswift_cs_modelzoo.pth"

# Python runs a line of a .pth file that begins with "import" at every start. It must do no harm
# once the package has been removed.
LINE = (
    r'import sys; exec("try:\n from mediswift_cs.modelzoo import hook\n'
    r'except ImportError:\n pass\nelse:\n hook.install()")' + "\n"
)

PROBE = (
    "import sys; hook = sys.modules.get('mediswift_cs.modelzoo.hook'); "
    "sys.exit(0 if hook and hook.TableFinder in sys.meta_path else 1)"
)


def site_file() -> Path:
    """Where the line lies in the environment of this interpreter."""
    return Path(sysconfig.get_path("purelib")) / FILE_NAME


def enable() -> Path:
    """Write the file and check that a new process has the hook; returns the file's path.

    Raises:
        ConfigError: the environment is not writable, or new processes do not read the file.
    """
    path = site_file()
    partial = path.with_suffix(".partial")
    try:
        partial.write_text(LINE, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}; use an environment of your own (a venv), or "
            f"run ModelZoo through python -m mediswift_cs.modelzoo cszoo"
        ) from error
    if not is_active():
        path.unlink()
        raise ConfigError(
            f"the hook in {path} had no effect and was removed: a new process of {sys.executable} "
            f"must be able to import mediswift_cs from its site-packages"
        )
    return path


def disable() -> bool:
    """Remove the file; returns whether there was one."""
    path = site_file()
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigError(f"cannot remove {path}: {error.strerror}") from error
    return True


def is_active() -> bool:
    """Whether a new process of this interpreter has the hook."""
    return subprocess.run([sys.executable, "-c", PROBE], check=False).returncode == 0
