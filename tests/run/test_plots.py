import sys
from collections.abc import Iterator
from typing import Any

import pytest

from holdfast import InvalidInputError, Logbook, LogReader, MissingDependencyError


@pytest.fixture
def pyplot() -> Iterator[Any]:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    yield plt
    plt.close("all")


def test_the_current_figure_is_saved_in_each_format(pyplot: Any) -> None:
    pyplot.plot([1, 2])
    log = Logbook("a")
    log.plot("deep/curve", dpi=20, formats=("png", "pdf", "svg"))
    assert LogReader(log.path).plots == ["deep/curve.pdf", "deep/curve.png", "deep/curve.svg"]
    assert (log.plotdir / "deep/curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_figure_or_axes_is_saved_and_a_larger_dpi_gives_a_larger_picture(pyplot: Any) -> None:
    figure, axes = pyplot.subplots()
    log = Logbook("a")
    log.plot("figure", figure, dpi=20)
    log.save_plot("axes", axes, 40, "png")
    small, large = (log.plotdir / f"{name}.png" for name in ("figure", "axes"))
    assert large.stat().st_size > small.stat().st_size


@pytest.mark.parametrize(
    "arguments", [{"fig": 3}, {"formats": ("exe",)}, {"formats": ()}, {"formats": ("../png",)}]
)
def test_what_is_no_figure_or_no_format_is_refused(pyplot: Any, arguments: Any) -> None:
    log = Logbook("a")
    with pytest.raises(InvalidInputError):
        log.plot("x", **arguments)
    assert not log.plotdir.exists()


@pytest.mark.parametrize("name", ["../x", "/x", "a\0b", "", "x" * 300])
def test_a_plot_cannot_leave_the_run(pyplot: Any, name: str) -> None:
    with pytest.raises(InvalidInputError):
        Logbook("a").plot(name, pyplot.figure())


def test_without_matplotlib_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(RuntimeError, match=r"holdfast\[plot\]") as caught:
        Logbook("a").plot("x")
    assert isinstance(caught.value, MissingDependencyError)
