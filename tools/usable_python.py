"""Can the locked dependencies be installed with this Python, here? If not, one line says what is missing.

Written so that Python 3.6 can read it, and run before anything is installed. Exit code 0 if it can.
"""

import os.path
import platform
import sys
import sysconfig

OLDEST = (3, 11)
# Where a wheel is missing, a C compiler is not enough: coincurve fetches libsecp256k1, plyvel wants LevelDB.
TOO_NEW = (3, 14)
LACKING = "coincurve has no wheel for it yet"
LINUX_ONLY = (3, 11)
WHEELS = "the dependencies have wheels for CPython with the GIL"


def trouble():
    version = sys.version_info[:2]
    name = f"Python {version[0]}.{version[1]}"
    machine = f"{platform.system()} {platform.machine()}"
    if version < OLDEST:
        return f"{name} is too old"
    if version >= TOO_NEW:
        return f"{name} is too new: {LACKING}"
    if version == LINUX_ONLY and machine != "Linux x86_64":
        return f"{name} cannot be used on {machine}: plyvel has wheels for it on Linux x86_64 alone"
    if platform.python_implementation() != "CPython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return f"{sys.version.split(' (')[0]} cannot be used: {WHEELS}"
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return f"{name} lacks venv (Debian and Ubuntu: apt-get install python3-venv)"
    header = os.path.join(sysconfig.get_path("include"), "Python.h")
    if not os.path.isfile(header):
        return (
            f"{name} lacks its headers, {header} (Debian and Ubuntu: apt-get install python3-dev)"
        )
    return None


if __name__ == "__main__":
    said = trouble()
    if said:
        print(said)
        sys.exit(1)
