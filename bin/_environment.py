"""The environment of this checkout: ``.venv``, made when missing, renewed when out of date, complete or not used.

Standard library only, and written so that an old Python still parses it and can say in one line what is missing.

``.venv/voxyz-runtime.stamp`` and ``.venv/voxyz-test.stamp`` are written last and say what the environment was made
from. ``.venv/voxyz-unfinished`` is there while somebody is at it: an environment found with it, and without anybody
holding the lock beside it (``.venv.lock``), was interrupted, and is removed and started over. One without any of
these was made by hand; it is kept and completed. All words go to stderr: stdout belongs to the command.
"""

import os
import sys

OLDEST = (3, 11)
NEWEST_LOOKED_FOR = 15
ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
LOG = os.path.join(VENV, "voxyz-setup.log")
UNFINISHED = os.path.join(VENV, "voxyz-unfinished")
LOCK = os.path.join(ROOT, ".venv.lock")
WAIT_LIMIT_S = 900.0
LOCKS = {"runtime": "requirements.lock", "test": "requirements-test.lock"}
SOURCES = ("pyproject.toml",) + tuple(sorted(LOCKS.values()))


class SetupError(Exception):
    """The environment cannot be made; the message says in one line what to do."""


def ensure(part, script):
    """``.venv`` serves ``part`` ("runtime" or "test"). Ends the process, in one line, when it cannot.

    ``script`` is the file that was called; a Python too old to go on starts it again under a newer one.
    """
    if _is_current(part):
        return
    try:
        if sys.version_info[:2] < OLDEST or not _has_venv_modules():
            _start_again(script)
        _set_up(part)
    except SetupError as error:
        _end(str(error), 1)
    except KeyboardInterrupt:
        _end("interrupted: the next start sets the environment up again", 130)
    except OSError as error:
        _end("the environment cannot be made in %s: %s" % (ROOT, error), 1)


def _end(line, code):
    sys.stderr.write("voxyz-reactor: %s\n" % line)
    sys.exit(code)


# -- is it current? --------------------------------------------------------------------------------------------


def _stamp_path(part):
    return os.path.join(VENV, "voxyz-%s.stamp" % part)


def _fingerprint():
    """What an environment depends on: the declared dependencies, this place, and its interpreter."""
    import hashlib

    digest = hashlib.sha256()
    for name in SOURCES:
        try:
            with open(os.path.join(ROOT, name), "rb") as source:
                digest.update(source.read())
        except (IOError, OSError):
            pass
        digest.update(b"\0")
    interpreter = os.path.realpath(PYTHON)
    try:
        size = os.stat(interpreter).st_size
    except OSError:
        return None
    digest.update(("%s\0%s\0%d" % (ROOT, interpreter, size)).encode())
    return digest.hexdigest()


def _is_current(part):
    try:
        with open(_stamp_path(part)) as stamp:
            return stamp.read().strip() == _fingerprint()
    except (IOError, OSError):
        return False


# -- which Python? ---------------------------------------------------------------------------------------------


def _has_venv_modules():
    try:
        import ensurepip
        from importlib.util import find_spec
    except ImportError:
        return False
    # Debian leaves an empty shell of ensurepip.
    return find_spec("venv") is not None and hasattr(ensurepip, "version")


def _start_again(script):
    """Become a Python that can make the environment; SetupError when there is none on PATH."""
    check = (
        "import sys, venv, ensurepip; ensurepip.version; sys.exit(sys.version_info[:2] < (%d, %d))" % OLDEST
    )
    names = ["python3.%d" % minor for minor in range(NEWEST_LOOKED_FOR, OLDEST[1] - 1, -1)] + ["python3"]
    for name in names:
        for directory in os.environ.get("PATH", os.defpath).split(os.pathsep):
            path = os.path.join(directory, name)
            if os.access(path, os.X_OK) and os.system("'%s' -c '%s' >/dev/null 2>&1" % (path, check)) == 0:
                os.execv(path, [path, script] + sys.argv[1:])
    if sys.version_info[:2] >= OLDEST:
        raise SetupError("this Python lacks its venv and pip modules; %s" % _advice("venv"))
    raise SetupError(
        "Python 3.11 or later is needed and this is %d.%d; %s" % (sys.version_info[:2] + (_advice("python"),))
    )


def _advice(what):
    """The command of this machine's distribution that installs ``what``: "python" or "venv"."""
    version = "3.%d" % max(sys.version_info[1], OLDEST[1])
    commands = {
        "debian": {
            "python": "apt install python3 python3-venv",
            "venv": "apt install python%s-venv" % version,
        },
        "fedora": {"python": "dnf install python3.12", "venv": "dnf install python3-pip python3-libs"},
        "alpine": {"python": "apk add python3", "venv": "apk add python3 py3-pip"},
        "arch": {"python": "pacman -S python", "venv": "pacman -S python"},
        "suse": {"python": "zypper install python311", "venv": "zypper install python311-pip"},
        "darwin": {"python": "brew install python", "venv": "brew install python"},
    }
    command = commands.get(_family(), {}).get(what)
    if command:
        return "install it: %s" % command
    return "install it with your system's package manager, or from https://www.python.org/downloads/"


def _family():
    if sys.platform == "darwin":
        return "darwin"
    try:
        with open(os.environ.get("VOXYZ_OS_RELEASE", "/etc/os-release")) as release:
            facts = dict(line.rstrip().split("=", 1) for line in release if "=" in line)
    except (IOError, OSError):
        return ""
    words = (facts.get("ID", "") + " " + facts.get("ID_LIKE", "")).replace('"', "").split()
    aliases = {"ubuntu": "debian", "rhel": "fedora", "centos": "fedora", "opensuse": "suse", "sles": "suse"}
    for word in words:
        name = aliases.get(word, word)
        if name in ("debian", "fedora", "alpine", "arch", "suse"):
            return name
    return ""


# -- making it -------------------------------------------------------------------------------------------------


def _set_up(part):
    import fcntl

    with open(LOCK, "a+") as lock:
        _wait_for_turn(lock, fcntl)
        if _is_current(part):
            return
        lock.seek(0)
        lock.truncate()
        lock.write("%d\n" % os.getpid())
        lock.flush()
        progress = Progress(part)
        # A pip that outlives us inherits the lock: nobody removes the environment under it.
        os.set_inheritable(lock.fileno(), True)
        _prepare_venv(progress, lock.fileno())
        try:
            _install(part, progress, lock.fileno())
        except SetupError:
            os.unlink(UNFINISHED)  # pip ended by itself: what is there is whole, if not all of it
            raise
        parts = ("runtime", "test") if part == "test" else ("runtime",)
        for each in parts:
            _write_stamp(each)
        os.unlink(UNFINISHED)
        progress.done()


def _wait_for_turn(lock, fcntl):
    import time

    began = time.monotonic()
    said = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "another process"
        if not said:
            sys.stderr.write("waiting for the set-up of %s started by process %s\n" % (VENV, holder))
            sys.stderr.flush()
            said = True
        if time.monotonic() - began > WAIT_LIMIT_S:
            raise SetupError("process %s has been setting up %s for %d minutes: end it and start again"
                             % (holder, VENV, WAIT_LIMIT_S // 60))  # fmt: skip
        time.sleep(0.05)


def _prepare_venv(progress, lock):
    """An environment with pip, marked unfinished, without stamps; a usable one is kept as it is."""
    import shutil

    usable = not os.path.exists(UNFINISHED) and _usable()
    if not usable:
        if os.path.exists(UNFINISHED):
            progress.say("the last set-up was interrupted: starting over")
        shutil.rmtree(VENV, ignore_errors=True)
        if os.path.lexists(VENV):
            raise SetupError("%s could not be removed: remove it and start again" % VENV)
        os.mkdir(VENV)
    with open(UNFINISHED, "w"):
        pass
    for part in ("runtime", "test"):
        if os.path.exists(_stamp_path(part)):
            os.unlink(_stamp_path(part))
    if not usable:
        progress.say("making %s with Python %d.%d.%d" % ((VENV,) + sys.version_info[:3]))
        _run([sys.executable, "-m", "venv", VENV], progress, lock, "the environment could not be made")


def _usable():
    """True when the environment's own Python is new enough, of this place, and has pip."""
    import subprocess

    check = "import sys, pip; print(sys.prefix); sys.exit(sys.version_info[:2] < %r)" % (OLDEST,)
    try:
        done = subprocess.run(
            [PYTHON, "-I", "-c", check], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and _is_here(done.stdout.strip()) and not _was_moved()


def _is_here(path):
    return os.path.realpath(path) == os.path.realpath(VENV)


def _was_moved():
    """True when the environment was made at another place: the programs in it still point there."""
    with open(os.path.join(VENV, "pyvenv.cfg")) as config:
        for line in config:
            name, _, value = line.partition("=")
            if name.strip() == "command":
                return not value.rstrip().endswith((" " + VENV, " " + os.path.realpath(VENV)))
    return False


def _install(part, progress, lock):
    """First what the lock names, each package by its hash; then the project, and what the lock does not know of yet."""
    pip = [
        PYTHON,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        "--progress-bar",
        "off",
    ]
    failure = "the packages could not be installed"
    locked = os.path.join(ROOT, LOCKS[part])
    if os.path.exists(locked):
        _run(pip + ["--require-hashes", "--requirement", locked], progress, lock, failure)
    extra = "[test]" if part == "test" else ""
    isolated = (
        ["--no-build-isolation"] if os.path.exists(locked) else []
    )  # the lock names what builds it, too
    _run(pip + isolated + ["--editable", ROOT + extra], progress, lock, failure)


def _run(command, progress, lock, failure):
    """Run ``command`` to its end, its output in log and progress; SetupError with its last words if it fails."""
    import subprocess

    environment = dict(os.environ)
    for name in (
        "PYTHONPATH",
        "PYTHONHOME",
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_USER",
        "PIP_REQUIRE_VIRTUALENV",
    ):
        environment.pop(name, None)
    words = []
    with open(LOG, "a", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT,
            env=environment, text=True, encoding="utf-8", errors="replace", pass_fds=(lock,),
        )  # fmt: skip
        try:
            for line in process.stdout:
                log.write(line)
                if line.strip():
                    words.append(line.strip())
                    progress.heard(line)
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        finally:
            progress.clear()
    if code != 0:
        errors = (
            [line for line in words if line.lower().startswith(("error", "e:"))] or words[-1:] or ["no word"]
        )
        raise SetupError("%s: %s (all of it: %s)" % (failure, errors[-1], LOG))


def _write_stamp(part):
    draft = _stamp_path(part) + ".new"
    with open(draft, "w") as stamp:
        stamp.write(_fingerprint() + "\n")
        stamp.flush()
        os.fsync(stamp.fileno())
    os.rename(draft, _stamp_path(part))


class Progress(object):
    """What the set-up is doing: one line that changes on a terminal, a few lines elsewhere."""

    def __init__(self, part):
        import time

        self._now = time.monotonic
        self._began = self._now()
        self._live = sys.stderr.isatty()
        self._packages = 0
        self._said = set()
        self.say("setting up the environment%s, once" % (" for the tests" if part == "test" else ""))

    def say(self, line):
        """One line that stays."""
        self.clear()
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def heard(self, line):
        """A line of pip's output, told to the user in the measure he wants it."""
        word, _, rest = line.strip().partition(" ")
        if word == "Collecting":
            self._packages += 1
            self._show("collecting", "%s (%d so far)" % (rest.split()[0] if rest else "", self._packages))
        elif word == "Downloading":
            self._show("downloading", rest.split("/")[-1].split("?")[0])
        elif word == "Installing" and "collected packages" in rest:
            self._show("installing", "%d packages" % (rest.count(",") + 1))
        elif word in ("Building", "Preparing", "Getting"):
            self._show("preparing", rest)

    def _show(self, what, detail):
        if self._live:
            text = "  %3d s  %s %s" % (self._now() - self._began, what, detail)
            sys.stderr.write("\r\033[K" + text[:78])
        elif what not in self._said:
            self._said.add(what)
            sys.stderr.write("  %3d s  %s ...\n" % (self._now() - self._began, what))
        sys.stderr.flush()

    def clear(self):
        """The changing line is gone."""
        if self._live:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()

    def done(self):
        """Say how long it took."""
        self.say("environment ready after %d s" % (self._now() - self._began))
