"""What a place lacks, made up for before the tools look: home, name, cache folders, proxies.

Containers have users without a name or a home, campuses and companies have proxies. What the user set
stays, where it can work.
"""

import os
import pwd
import re
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path

from stages.common.errors import UserError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_SCHEMES = ("http", "https", "socks5", "socks5h")
"""What httpx speaks, which Prefect and the hub use."""
_FILES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def settle(root: Path) -> None:
    """Give the process and its children what they take for granted."""
    for name in ("NO_PROXY", "no_proxy"):
        known = [part.strip() for part in os.environ.get(name, "").split(",") if part.strip()]
        # Both spellings are read, by different libraries, and one may be all that is set.
        other = os.environ.get(name.swapcase(), "").split(",")
        wanted = [*known, *(part.strip() for part in other if part.strip()), *LOOPBACK]
        os.environ[name] = ",".join(dict.fromkeys(wanted))
    if "error" in os.environ.get("PYTHONWARNINGS", ""):
        # A deprecation somewhere in the tools would end a run; it is for their authors to see.
        os.environ["PYTHONWARNINGS"] = "ignore"
        warnings.simplefilter("ignore")
    if not _has_name():
        for name in ("USER", "LOGNAME"):
            os.environ.setdefault(name, f"user{os.getuid()}")
    home = _home()
    if home is None:
        os.environ["HOME"] = str(private(Path(tempfile.gettempdir()) / f"home-{os.getuid()}"))
    elif not os.access(home, os.W_OK):
        cache = root / ".dvc" / "tmp" / "cache-of-tools"
        os.environ.setdefault("XDG_CACHE_HOME", str(cache))
        os.environ.setdefault("TRITON_CACHE_DIR", str(cache / "triton"))
    if not os.access("/var/tmp", os.W_OK):
        os.environ.setdefault("DVC_SITE_CACHE_DIR", str(root / ".dvc" / "tmp" / "site-cache"))


def refuse_bad_network() -> None:
    """Raise ``UserError`` for a proxy or certificate setting that no HTTP client here can use."""
    for name in PROXIES:
        value = os.environ.get(name, "").strip()
        scheme = value.partition("://")[0].lower() if "://" in value else "http"
        if value and scheme not in _SCHEMES:
            shown = re.sub(r"//[^@/]*@", "//***@", value)
            raise UserError(f"{name} is {shown!r}: a proxy's scheme is {', '.join(_SCHEMES)}")
        if value and scheme.startswith("socks") and find_spec("socksio") is None:
            raise UserError(f"{name} names a SOCKS proxy: `pip install socksio`, or unset it")
    for name in _FILES:
        value = os.environ.get(name, "")
        if value and not Path(value).exists():
            raise UserError(f"{name} is {value!r}: no such file; correct it or unset it")


def private(folder: Path) -> Path:
    """Make ``folder`` if need be, for its owner alone; ``UserError`` where it is another's."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
        if status.st_uid != os.getuid() or folder.is_symlink():
            raise UserError(f"{folder}: not yours; remove it, or set TMPDIR or PREFECT_HOME")
        folder.chmod(0o700)
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}; make it writable for you") from None
    return folder


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody but its owner could read at any moment, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


def _has_name() -> bool:
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        return False
    return True


def _home() -> Path | None:
    """The home folder, where there is one."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home if home.is_absolute() and home.is_dir() else None
