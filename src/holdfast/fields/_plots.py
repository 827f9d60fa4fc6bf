"""Plots of storages with matplotlib, and how a storage shows itself in a notebook."""

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from holdfast._text import short, table_html
from holdfast.errors import HoldfastError, InvalidInputError, StateError
from holdfast.fields._forms import Array, Form
from holdfast.fields._pictures import (
    Axis,
    Picture,
    axes_of,
    label_of,
    pictures_of,
    scalars_of,
)
from holdfast.fields._render import (
    COLUMNS,
    HEIGHT,
    WIDTH,
    Look,
    Renderer,
    colormap,
    draw_picture,
    drawable,
    import_matplotlib,
    limits_of,
    set_label,
    title_at,
    update_picture,
)

if TYPE_CHECKING:
    from holdfast.fields._hooks import Hooks

KINDS = ("auto", "image", "kymograph")
REDUCTIONS: dict[str, Callable[[Array, int], Array]] = {
    "mean": lambda values, axis: values.mean(axis=axis),
    "max": lambda values, axis: values.max(axis=axis),
    "min": lambda values, axis: values.min(axis=axis),
    "middle": lambda values, axis: values.take(values.shape[axis] // 2, axis=axis),
}
"""What becomes of axes that a kymograph does not show."""


def plot(storage: "Hooks", kind: str, options: dict[str, Any]) -> Any:
    """Draw a kymograph of fields along one axis, and else an image of the last field."""
    if kind not in KINDS:
        raise InvalidInputError(f"kind is one of {', '.join(KINDS)}, not {kind!r}")
    if kind == "auto":
        form, shape = storage.form, storage.data_shape
        first = form.parts[0] if form.parts else None
        axes = axes_of(form, shape) if first is None else axes_of(first.form, first.shape)
        kind = "kymograph" if len(axes) == 1 and len(storage) > 1 else "image"
    return (kymograph if kind == "kymograph" else image)(storage, **options)


def image(
    storage: "Hooks",
    index: int = -1,
    *,
    ax: Any = None,
    cmap: Any = None,
    limits: Any = None,
    title: Any = True,
) -> Any:
    """Draw the field with a number: lines along one axis, images along two."""
    _require_fields(storage)
    row = range(len(storage))[index]
    (values,) = storage.frames(range(row, row + 1))
    pictures = pictures_of(storage.form, values)
    figure, places = _places(ax, len(pictures))
    for place, picture, limit in zip(
        places, pictures, limits_of(limits, len(pictures)), strict=True
    ):
        artist = draw_picture(place, picture, colormap(cmap))
        limit.see(picture.values)
        update_picture(artist, picture, limit.pair)
    if ax is None:
        text = drawable(title_at(title, float(storage.times[row])))
        figure.suptitle(text, fontsize="medium")
    return figure


def kymograph(
    storage: "Hooks",
    *,
    axis: int | str = 0,
    reduce: str = "mean",
    ax: Any = None,
    cmap: Any = None,
    limits: Any = None,
    title: Any = None,
) -> Any:
    """Draw values along one axis, upwards, over time, to the right."""
    _require_fields(storage)
    if reduce not in REDUCTIONS:
        raise InvalidInputError(f"reduce is one of {', '.join(REDUCTIONS)}, not {reduce!r}")
    pictures = _kymographs(storage, axis, reduce)
    times = np.asarray(storage.times, np.float64)
    figure, places = _places(ax, len(pictures))
    for place, picture, limit in zip(
        places, pictures, limits_of(limits, len(pictures)), strict=True
    ):
        limit.see(picture.values)
        low, high = limit.pair
        mesh = place.pcolormesh(
            _edges(times),
            _edges(picture.axes[0].centres),
            picture.values.T,
            cmap=colormap(cmap),
            vmin=low,
            vmax=high,
        )
        place.set(xlabel="time", ylabel=drawable(picture.axes[0].title))
        set_label(place, picture.label)
        figure.colorbar(mesh, ax=place)
    if title and ax is None:
        figure.suptitle(drawable(str(title)), fontsize="medium")
    return figure


def _require_fields(storage: "Hooks") -> None:
    if not len(storage):
        raise StateError(f"{storage!r} holds no field to draw; append one")


def _places(ax: Any, count: int) -> tuple[Any, list[Any]]:
    """Return a figure and axes for so many pictures: those given, or new ones of pyplot."""
    if ax is not None:
        given = list(np.ravel(ax))
        if len(given) != count or not hasattr(given[0], "figure"):
            raise InvalidInputError(f"ax is one of matplotlib's axes for each of {count} pictures")
        return given[0].figure, given
    import_matplotlib("a plot")
    from matplotlib import pyplot as plt

    columns = min(count, COLUMNS)
    rows = -(-count // columns)
    size = (WIDTH * columns, HEIGHT * rows)
    figure, grid = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for axes in grid.flat[count:]:
        figure.delaxes(axes)
    return figure, list(grid.flat[:count])


def _kymographs(storage: "Hooks", axis: int | str, reduce: str) -> list[Picture]:
    """Return pictures whose first dimension is time."""
    form, shape = storage.form, storage.data_shape
    parts = form.parts
    forms: list[tuple[Form, Sequence[int], str]] = (
        [(form, shape, str(getattr(form, "label", None) or ""))]
        if parts is None
        else [(p.form, p.shape, p.label or f"field {n}") for n, p in enumerate(parts)]
    )
    chosen = [_axis_number(axes_of(each, size), axis) for each, size, _ in forms]
    lines: list[list[Array]] = [[] for _ in forms]
    magnitude = [False] * len(forms)
    for values in storage.frames(range(len(storage))):
        pieces = [values] if parts is None else [part.of(values) for part in parts]
        for number, (each, _, _) in enumerate(forms):
            shown, magnitude[number] = scalars_of(each, pieces[number])
            lines[number].append(_reduced(shown, chosen[number], reduce))
    return [
        Picture(
            label_of(each, label, magnitude=magnitude[number]),
            np.stack(lines[number]),
            (axes_of(each, size)[chosen[number]],),
        )
        for number, (each, size, label) in enumerate(forms)
    ]


def _axis_number(axes: Sequence[Axis], axis: int | str) -> int:
    names = [known.name for known in axes]
    if axis in names:
        return names.index(str(axis))
    if isinstance(axis, int) and -len(axes) <= axis < len(axes):
        return axis % len(axes)
    raise InvalidInputError(f"there is no axis {axis!r}; the fields have {', '.join(names)}")


def _reduced(values: Array, kept: int, reduce: str) -> Array:
    for other in reversed(range(values.ndim)):
        if other != kept:
            values = REDUCTIONS[reduce](values, other)
    return values


def _edges(centres: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return where cells around points begin and end: in the middle between two."""
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middle = (centres[:-1] + centres[1:]) / 2
    first, last = 2 * centres[0] - middle[0], 2 * centres[-1] - middle[-1]
    return np.concatenate([[first], middle, [last]])


def html_of(storage: "Hooks") -> str:
    """Return what a storage holds as a table, with a picture of its last field."""
    rows = [{"": name, " ": value} for name, value in _facts(storage)]
    table = table_html(repr(storage), ["", " "], rows)
    return f"{table}{_thumbnail(storage)}"


def _facts(storage: "Hooks") -> Iterator[tuple[str, str]]:
    count = len(storage)
    yield "fields", str(count)
    if count:
        times = storage.times
        yield "times", f"{short(float(times[0]))} to {short(float(times[-1]))}"
    if storage.shape is not None:
        yield "kind", storage.form.name
        yield "shape", str(storage.data_shape)
        yield "dtype", str(storage.dtype)
        if storage.grid is not None:
            with np.printoptions(legacy="1.25"):  # py-pde's grids hold numbers of NumPy
                text = str(storage.grid)
            yield "grid", text


def _thumbnail(storage: "Hooks") -> str:
    """Return a picture of the last field; nothing where there is none, or it cannot be drawn."""
    try:
        count = len(storage)
        (values,) = storage.frames(range(count - 1, count)) if count else (None,)
        if values is None:
            return ""
        frame = Renderer(storage.form, Look(dpi=50)).frame(values, float(storage.times[-1]))
        from PIL import Image

        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, "PNG")
    except (HoldfastError, OSError, ImportError):
        return ""
    return f'<img src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}">'
