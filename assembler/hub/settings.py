"""What the user's environment says about the hub, asked anew at each call. The names are Hugging Face's own."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ...errors import UsageError


def flag(name: str) -> bool:
    """Whether the environment variable says yes, as huggingface_hub understands it."""
    return os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"}


def folder_from(variables: tuple[str, ...], default: str) -> str:
    """The folder that the first set environment variable names, else the default; `~` and `$VARIABLES` expanded."""
    chosen = next((os.environ[name] for name in variables if os.environ.get(name)), default)
    return os.path.expandvars(os.path.expanduser(chosen))


def home() -> str:
    """HF_HOME, or `huggingface` in the user's cache folder."""
    return folder_from(("HF_HOME",), os.path.join(folder_from(("XDG_CACHE_HOME",), "~/.cache"), "huggingface"))


def hub_folder(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Where repositories are cached."""
    return Path(cache_dir or folder_from(("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"), os.path.join(home(), "hub")))


def assets_folder() -> Path:
    """Where files that come from no repository are cached: the place the Hugging Face cache gives to each library."""
    assets = folder_from(("HF_ASSETS_CACHE", "HUGGINGFACE_ASSETS_CACHE"), os.path.join(home(), "assets"))
    return Path(assets) / "modelwright"


def endpoint() -> str:
    """The hub's address, without a slash at the end."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def offline() -> str | None:
    """The setting that forbids connections, if one does."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if flag(name):
            return f"{name}={os.environ[name]} forbids connections; unset it to download"
    return None


def token() -> str | None:
    """HF_TOKEN, or what `hf auth login` has left in a file."""
    text = os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN")
    if not text:
        if flag("HF_HUB_DISABLE_IMPLICIT_TOKEN"):
            return None
        try:
            text = Path(folder_from(("HF_TOKEN_PATH",), os.path.join(home(), "token"))).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
    text = text.strip()
    if not re.fullmatch(r"[!-~]*", text):
        raise UsageError("the Hugging Face token (HF_TOKEN or its file) contains blanks or other odd characters")
    return text or None


def timeout() -> float:
    """Seconds without a byte after which a connection counts as dropped."""
    text = os.environ.get("HF_HUB_DOWNLOAD_TIMEOUT") or "10"
    if not re.fullmatch(r"\d+(\.\d+)?", text) or not float(text):
        raise UsageError(f"HF_HUB_DOWNLOAD_TIMEOUT={text} is not a number of seconds")
    return float(text)
