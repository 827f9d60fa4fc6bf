"""`YamlConfig`, the base of dataclasses that are kept as YAML or JSON."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from holdfast._atomic import replace_bytes
from holdfast._plain import dump_json, load_json, to_plain
from holdfast._sync import Durability
from holdfast.config._convert import convert
from holdfast.config._dump import dump_commented, dump_yaml, plain_fields
from holdfast.config._scalars import Plain, load_texts
from holdfast.errors import FormatError, InvalidInputError, MissingFileError, StateError


class YamlConfig:
    """A dataclass that is saved as YAML or JSON and comes back with every value as annotated.

    Paths, enums, tuples, sets, nested dataclasses, ``Optional``, unions, ``Literal``, dates and
    times, NumPy scalars and small arrays, and dictionaries of these, keys included, are converted
    both ways. What the file says is read as the annotation says: ``no`` for a text field is the
    text "no", ``1e-3`` for a number is a number.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from pathlib import Path
    >>> @dataclass
    ... class Camera(YamlConfig):
    ...     name: str
    ...     exposure: float = 0.01
    ...     folder: Path = Path("frames")
    >>> Camera.from_dict({"name": "left", "exposure": 2})
    Camera(name='left', exposure=2.0, folder=PosixPath('frames'))
    """

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data: numbers, texts, lists and dictionaries.

        Raises
        ------
        StateError
            If the class is not a dataclass.
        InvalidInputError
            If a value has no plain form.
        """
        _require_dataclass(type(self))
        name = type(self).__name__
        try:
            return plain_fields(self, name)
        except RecursionError:
            raise InvalidInputError(
                f"{name} holds itself, or is nested too deeply to be saved; flatten it"
            ) from None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make an instance from plain data, each value converted to the annotation of its field.

        Raises
        ------
        FormatError
            If a value does not fit, a key is unknown, or a field without default is missing.
        """
        return cls._from(data, cls.__name__)

    def to_yaml(self, file_path: Path, *, comments: bool = False) -> None:
        """Save the instance as a YAML file, replaced whole.

        Parameters
        ----------
        file_path : Path
            The file, with the suffix ``.yaml`` or ``.yml``; folders on the way are made.
        comments : bool
            Write what is said of each field above it: ``field(metadata={"doc": ...})``, text in
            ``Annotated[...]``, or a string below the field.

        Raises
        ------
        InvalidInputError
            If the suffix is another one, or a value has no plain form; nothing is written.
        """
        path = _checked(file_path, (".yaml", ".yml"))
        plain = self.to_dict()
        name = type(self).__name__
        text = dump_commented(self, name) if comments else dump_yaml(plain, name)
        replace_bytes(path, text.encode(), Durability())

    @classmethod
    def from_yaml(cls, file_path: Path) -> Self:
        """Make an instance from a YAML file.

        Raises
        ------
        InvalidInputError
            If the suffix is not ``.yaml`` or ``.yml``.
        MissingFileError
            If there is no such file.
        FormatError
            If it is not YAML, or does not fit the class; the message names file and key, what was
            expected and what was found.
        """
        path = _checked(file_path, (".yaml", ".yml"))
        data = load_texts(_content(path), str(path))
        if data is None or (type(data) is Plain and not data):
            data = {}  # an empty file: every field has its default
        return cls._from(data, str(path))

    def to_json(self, file_path: Path | None = None) -> str:
        """Return the instance as JSON, saved in a file as well if one is named (``.json``).

        Raises
        ------
        InvalidInputError
            If the suffix is another one, a value has no plain form, or two keys are one as text.
        """
        path = None if file_path is None else _checked(file_path, (".json",))
        content = dump_json(to_plain(self.to_dict(), type(self).__name__))
        if path is not None:
            replace_bytes(path, content, Durability())
        return content.decode()

    @classmethod
    def from_json(cls, source: Path | str) -> Self:
        """Make an instance from a JSON file (a Path) or from JSON itself (text).

        Raises
        ------
        MissingFileError, FormatError
            As `from_yaml` does.
        """
        if isinstance(source, str):
            return cls._from(_keys_as_texts(load_json(source.encode(), "the text")), "the text")
        path = _checked(source, (".json",))
        return cls._from(_keys_as_texts(load_json(_content(path), str(path))), str(path))

    @classmethod
    def _from(cls, data: Any, where: str) -> Self:
        _require_dataclass(cls)
        made: Self = convert(data, cls, where)
        return made


def _require_dataclass(kind: type) -> None:
    if not dataclasses.is_dataclass(kind):
        raise StateError(f"{kind.__name__} is not a dataclass; put @dataclass above the class")


def _keys_as_texts(value: Any) -> Any:
    """Let keys, which JSON has only as text, take the type of their annotation as in YAML."""
    if isinstance(value, dict):
        return {Plain(key): _keys_as_texts(item) for key, item in value.items()}
    return [_keys_as_texts(item) for item in value] if isinstance(value, list) else value


def _checked(file_path: Path, suffixes: tuple[str, ...]) -> Path:
    path = Path(file_path)
    if path.suffix not in suffixes:
        raise InvalidInputError(f"{path} does not end in {' or '.join(suffixes)}; rename it")
    return path


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise MissingFileError(
            f"{path} does not exist; check its name, or save one first"
        ) from None
    if b"\x00" in content:
        raise FormatError(f"{path} is not text; restore it from a copy")
    return content
