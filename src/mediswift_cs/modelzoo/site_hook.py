"""What ``mediswift modelzoo`` does: one line in site-packages shows our models to ModelZoo."""

import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.modelzoo import registration, stand_in
from mediswift_cs.storage.write import write_text

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
    advice = (
        "use an environment of your own (a venv), or run ModelZoo through "
        "python -m mediswift_cs.modelzoo cszoo"
    )
    # Python reads nothing in a folder that would be made for the file.
    if not path.parent.is_dir():
        raise ConfigError(f"cannot write {path}: No such file or directory; {advice}")
    try:
        write_text(path, LINE)
    except DataError as error:
        raise ConfigError(f"{error}; {advice}") from error
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


def missing_cszoo() -> str | None:
    """What to do where this environment has no command cszoo; None where it has one."""
    script = Path(sysconfig.get_path("scripts")) / "cszoo"
    if script.is_file():
        return None
    return (
        f"there is no {script}: pip install --no-deps -e in ModelZoo's clone makes it, and "
        f"python -m mediswift_cs.modelzoo cszoo does the same without it"
    )


def is_active() -> bool:
    """Whether a new process of this interpreter has the hook."""
    return subprocess.run([sys.executable, "-c", PROBE], check=False).returncode == 0


def format_status() -> str:
    """Lines of ``what: state``; imports nothing of ModelZoo."""
    spec = find_spec("cerebras.modelzoo") if registration.is_found() else None
    place = f"not found; {registration.HOW_TO_INSTALL}"
    if spec is not None and spec.origin is not None:
        place = str(Path(spec.origin).parent)
    missing = ", ".join(registration.missing_packages())
    real = find_spec(stand_in.PACKAGE) is not None
    hook = "enabled" if is_active() else "disabled; mediswift modelzoo enable"
    states = {
        "ModelZoo": place,
        "packages it needs": f"missing {missing}" if missing else "all there",
        "bigcode_eval": "installed" if real else "not installed; a stand-in is used",
        "hook for the stock cszoo": f"{hook} ({site_file()})",
        "stock cszoo": missing_cszoo() or "installed",
        "models": ", ".join(model.name for model in registration.MODELS),
    }
    return "\n".join(f"{what}: {state}" for what, state in states.items())
