"""Reports: what a folder holds of each source, assembled or not."""

from pathlib import Path

import numpy as np
import pytest

from holdfast import DataLogger, assemble_log_archives
from holdfast.acquisition import SourceReport, _report, report
from holdfast.acquisition._collect import Collected, collect

ONSET = np.array([10**15], "<u8")


def put_first(folder: str = "out") -> Path:
    logger = DataLogger(folder, "rig")
    logger.put(1, 0, ONSET)
    for time in (100, 400, 200):
        logger.put(1, time, b"abc")
        logger.put("camera", time + 1_000_000, b"")
    return logger.output_directory


def put_more(folder: str = "out") -> None:
    logger = DataLogger(folder, "rig")
    logger.put(1, 5000, b"later")
    logger.put(1, 5010, b"later")


EXPECTED = [
    SourceReport(1, 5, 19, 10**15, 100, 5010, 3 / 310 * 1e6, 200),
    SourceReport("camera", 3, 0, None, 1_000_100, 1_000_400, 2 / 300 * 1e6, 200),
]


@pytest.mark.parametrize("assembled", [(False, False), (True, False), (False, True), (True, True)])
def test_a_report_tells_the_same_whether_messages_are_assembled_or_not(
    assembled: tuple[bool, bool],
) -> None:
    folder = put_first()
    if assembled[0]:
        assemble_log_archives(folder)
    put_more()
    if assembled[1]:
        assemble_log_archives(folder)
    assert report(folder) == EXPECTED


@pytest.mark.parametrize("assembled", [False, True])
def test_a_report_counts_each_message_once_while_they_are_assembled(
    *, assembled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put_first()
    if assembled:
        assemble_log_archives(folder)
    put_more()
    looks = 0

    def look_before_assembly(folder: Path) -> Collected:
        nonlocal looks
        looks += 1
        found = collect(folder)
        if looks == 1:
            assemble_log_archives(folder)
        return found

    monkeypatch.setattr(_report, "collect", look_before_assembly)
    assert report(folder) == EXPECTED


def test_messages_that_come_after_an_assembly_of_the_same_recording_count_with_it() -> None:
    logger = DataLogger("out", "rig")
    logger.put(1, 0, ONSET)
    logger.put(1, 10, b"a")
    assemble_log_archives(logger.output_directory)
    logger.put(1, 0, ONSET)  # a message like any other: the recording has its onset
    logger.put(1, 5, b"b")
    expected = [SourceReport(1, 3, 10, 10**15, 0, 10, 2e5, 5)]
    assert report(logger.output_directory) == expected
    assemble_log_archives(logger.output_directory)
    assert report(logger.output_directory) == expected


def test_a_source_with_nothing_but_an_onset_has_no_messages() -> None:
    logger = DataLogger("out", "rig")
    logger.put(1, 0, ONSET)
    empty = [SourceReport(1, 0, 0, 10**15, None, None, None, None)]
    assert report(logger.output_directory) == empty
    assemble_log_archives(logger.output_directory)
    assert report(logger.output_directory) == empty


def test_a_folder_is_looked_at_once_however_many_sources_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logger = DataLogger("out", "rig")
    for source in range(200):
        logger.put(source, 1, b"x")
    looks = []

    def counted(folder: Path) -> Collected:
        looks.append(folder)
        return collect(folder)

    monkeypatch.setattr(_report, "collect", counted)
    assert [found.messages for found in report(logger.output_directory)] == [1] * 200
    assert looks == [logger.output_directory]
