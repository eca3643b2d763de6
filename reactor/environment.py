"""Where settings come from: the environment, ``.env.local`` and ``.env`` of a directory, files with a secret.

The first layer that names a variable wins. An empty variable counts as unset. ``$`` is only a character.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from reactor.errors import ConfigurationError

ENV_FILES = (".env.local", ".env")
LARGEST_FILE = 65536  # bytes of a .env file or of one that holds a secret; more is a mistake in the path


@dataclass(frozen=True, slots=True)
class Variable:
    """How a setting is called outside: its names (the first is the one we print), what it wants, its unit."""

    names: tuple[str, ...]
    wants: str
    unit: str = ""
    secret: bool = False
    default_text: str | None = None

    @property
    def name(self) -> str:
        """The name by which help and errors call it."""
        return self.names[0]

    def spellings(self) -> Iterator[tuple[str, bool]]:
        """Every variable it may be given by, and whether that one holds the path of a file."""
        for name in self.names:
            yield name, False
            if self.secret:
                yield f"{name}_FILE", True


@dataclass(frozen=True, slots=True)
class Layer:
    """One place that may give variables; ``where`` follows a variable's name in errors."""

    where: str
    values: Mapping[str, str]


def layers(environ: Mapping[str, str], cwd: Path, known: Iterable[Variable]) -> list[Layer]:
    """The environment, then the .env files of ``cwd``, in the order in which they win."""
    names = [name for variable in known for name, _ in variable.spellings()]
    return [
        Layer("", environ),
        *(Layer(f" in {name}", _read_env_file(cwd / name, names)) for name in ENV_FILES),
    ]


def look_up(variable: Variable, given: Iterable[Layer], cwd: Path) -> tuple[str, str] | None:
    """The spelling and place under which the first layer that knows the variable has it, and its value.

    Raises: ConfigurationError: a secret and its file are both given, or the file cannot be read or is empty.
    """
    for layer in given:
        values = layer.values
        present = [pair for pair in variable.spellings() if values.get(pair[0], "").strip()]
        if not present:
            continue
        name, is_file = present[0]
        place = f"{name}{layer.where}"
        if not is_file and (f"{name}_FILE", True) in present:
            raise ConfigurationError(f"{name} and {name}_FILE are both set{layer.where}: keep one of them")
        value = values[name].strip()
        return place, _read_secret(place, cwd / value) if is_file else value
    return None


def _read_small(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise ValueError(f"it has more than {LARGEST_FILE} bytes")
    return content.decode("utf-8-sig")


def _read_secret(place: str, path: Path) -> str:
    try:
        secret = _read_small(path).strip()
    except OSError as error:
        raise ConfigurationError(f"{place} names {path}, which cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigurationError(
            f"{place} names {path}, which is no text file with a secret: {error}"
        ) from None
    if not secret:
        raise ConfigurationError(f"{place} names {path}, which is empty: write the secret into it")
    return secret


def _read_env_file(path: Path, names: Iterable[str]) -> dict[str, str]:
    """The variables of a .env file, none when there is no such file.

    The file may serve other programs too: a line that cannot be understood is passed over unless it begins
    with one of ``names``. Raises: ConfigurationError: such a line, or an unreadable file.
    """
    try:
        text = _read_small(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return {}
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigurationError(f"{path} is no text file of NAME=value lines: {error}") from None
    from dotenv.parser import parse_stream  # most directories have no such file: not worth its import before

    ours = re.compile(rf"\s*(export\s+)?({'|'.join(names)})\b")
    values: dict[str, str] = {}
    for binding in parse_stream(StringIO(text)):
        if binding.error and ours.match(binding.original.string):
            line = binding.original.line
            raise ConfigurationError(f"{path} line {line} is not NAME=value: check its quotes")
        if binding.key and binding.value is not None:
            values[binding.key] = binding.value
    return values
