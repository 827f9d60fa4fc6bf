"""What the pages say is so: programs run, links lead somewhere, commands agree."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
LINKING = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "design").glob("*")])
TEST_COMMAND = (
    "python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]' && .venv/bin/python -m pytest -q"
)
DEMO_COMMAND = (
    "python3 -m venv .venv && .venv/bin/pip install -q '.[plot]' && .venv/bin/holdfast demo"
)
# Put together here, so that this file does not name what it forbids.
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("pypi", "python", "org"),
        ("files", "pythonhosted", "org"),
        ("pythonhosted", "org"),
        ("anaconda", "org"),
        ("anaconda", "com"),
        ("conda-forge", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
    ]
]

_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```\s*$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[tuple[str, int, str]]:
    """Yield the language, line number and text of each fenced block of a page."""
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        yield match[1].strip(), text.count("\n", 0, match.start()) + 1, match[2]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_programs_of_a_page_run_in_order_in_one_namespace(page: Path, tmp_path: Path) -> None:
    programs = [(line, text) for kind, line, text in blocks(page) if kind.startswith("python")]
    if not programs:
        pytest.skip("the page has no programs")
    # Empty lines put every block at the line it has in the page, so a traceback names it.
    source = ""
    for line, text in programs:
        source += "\n" * (line - source.count("\n")) + text
    script = tmp_path / "script" / f"{page.stem}.py"
    script.parent.mkdir()
    script.write_text(source, encoding="utf-8")
    folder = tmp_path / "empty"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=folder,
        env=os.environ | {"MPLBACKEND": "Agg", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, f"{name_of(page)}:\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_program_of_a_page_is_left_out_of_the_tests(page: Path) -> None:
    for kind, line, _ in blocks(page):
        assert kind in {"python", "console", "text", "yaml", "json", "csv"}, (
            f"{name_of(page)}:{line} is fenced as {kind!r}"
        )


def test_the_readme_shows_the_two_commands() -> None:
    shown = [text.strip() for kind, _, text in blocks(ROOT / "README.md") if kind == "console"]
    assert shown[:2] == [DEMO_COMMAND, TEST_COMMAND]


def test_what_is_run_on_every_change_is_the_test_command_of_the_readme() -> None:
    script = ROOT / ".ci" / "run"
    assert TEST_COMMAND in script.read_text(encoding="utf-8").splitlines()
    assert os.access(script, os.X_OK)


def repository_files() -> list[Path]:
    """Return the text files of the repository: those git knows, or would add."""
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others"]
    done = subprocess.run(
        [*listing, "--exclude-standard"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("this is no git work tree")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_line_of_the_repository_names_a_package_registry() -> None:
    files = repository_files()
    assert ROOT / "README.md" in files
    for path in files:
        for number, line in enumerate(path.read_bytes().lower().splitlines(), start=1):
            for host in REGISTRY_HOSTS:
                assert host.encode() not in line, f"{path.relative_to(ROOT)}:{number}"


@pytest.mark.parametrize("page", LINKING, ids=name_of)
def test_every_link_of_a_page_leads_to_something_that_exists(page: Path) -> None:
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target or target.startswith("mailto:"):
            continue
        file, _, anchor = target.partition("#")
        path = page.parent / file if file else page
        assert path.resolve().is_relative_to(ROOT), f"{name_of(page)}: {target}"
        assert path.exists(), f"{name_of(page)}: {target}"
        assert not anchor or anchor in anchors(path), f"{name_of(page)}: {target}"


def anchors(page: Path) -> set[str]:
    """Return the anchors that headings of a page make."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
