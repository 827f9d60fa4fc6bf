import base64
import json
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import modelrunner
import numpy as np
import pytest
import zarr

from holdfast.errors import FormatError, InvalidInputError
from holdfast.fields import ModelrunnerStorage
from movies import moving

pytestmark = pytest.mark.filterwarnings("ignore:Duplicate name")  # so modelrunner changes a zip

MODELRUNNER: Any = modelrunner.storage
RAN = Path("ran")
FORMATS = ["x.hdf5", "x.zarr", "x.zip", "x.json", "x.yaml"]


class Runs:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch ran",)


BAD = base64.b64encode(pickle.dumps(Runs())).decode()
BAD_JSON = json.dumps({"deep": [{"__pickled__": BAD}]})


def written(name: str) -> Path:
    with ModelrunnerStorage(name) as storage:
        storage.append(np.arange(6.0).reshape(2, 3), 0)
        storage.append(np.arange(6.0).reshape(2, 3) + 1, 1)
    return Path(name)


def with_bad_attribute(name: str) -> Path:
    path = written(name)
    opened: Any = MODELRUNNER.open_storage(path, mode="full")
    opened._storage._write_attr(["trajectory"], "note", BAD_JSON)
    opened.close()
    return path


def uses_of(path: Path) -> list[Callable[[], Any]]:
    return [
        lambda: list(ModelrunnerStorage(path, write_mode="readonly").items()),
        lambda: ModelrunnerStorage(path, write_mode="append").append(np.zeros((2, 3)), 5),
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_a_pickle_in_an_attribute_is_loaded_only_on_request(name: str) -> None:
    path = with_bad_attribute(name)
    uses = [*uses_of(path)]
    uses.append(lambda: ModelrunnerStorage(path, write_mode="readonly").info)
    for use in uses:
        with pytest.raises(InvalidInputError, match=r"note.*pickle.*trust=True"):
            use()
        assert not RAN.exists()
    found = ModelrunnerStorage(path, write_mode="readonly", trust=True)
    assert found[1][1, 2] == 6
    assert RAN.exists()
    found.close()


def test_a_pickle_among_runs_is_not_loaded_either() -> None:
    run_id = ModelrunnerStorage().upload(moving(1), tags=["x"])
    with h5py.File(f"modelrunner/{run_id}.hdf5", "a") as file:
        file["trajectory"].attrs["tags"] = BAD_JSON
    runs = ModelrunnerStorage()
    for use in (lambda: runs.download(run_id), lambda: runs.runs("x")):
        with pytest.raises(InvalidInputError, match="trust=True"):
            use()
    assert not RAN.exists()
    assert ModelrunnerStorage(trust=True).download(run_id) == moving(1)


@pytest.mark.parametrize("kind", ["opaque", "objects", "bytes"])
def test_an_array_of_pickles_in_hdf5_is_refused(kind: str) -> None:
    path = written("x.hdf5")
    bad = pickle.dumps(Runs())
    with h5py.File(path, "a") as file:
        group = file["trajectory"]
        del group["data"]
        if kind == "objects":
            made = group.create_dataset("data", (2,), h5py.vlen_dtype(np.uint8))
            made[0] = np.frombuffer(bad, np.uint8)
        elif kind == "opaque":
            made = group.create_dataset("data", data=np.void(bad))
        else:
            made = group.create_dataset("data", data=np.frombuffer(bad, np.uint8)[np.newaxis])
        made.attrs["__pickled__"] = True
    for use in uses_of(path):
        with pytest.raises(InvalidInputError, match=r"data.*trust=True"):
            use()
    assert not RAN.exists()


@pytest.mark.parametrize("part", ["trajectory", "data"])
@pytest.mark.parametrize("kind", ["external", "soft"])
def test_links_in_hdf5_are_not_followed(part: str, kind: str) -> None:
    path = written("x.hdf5")
    written("secret.hdf5")
    where = "/trajectory" if part == "trajectory" else "/trajectory/data"
    with h5py.File(path, "a") as file:
        file.move(where, "/moved")
        file[where] = (
            h5py.SoftLink("/moved") if kind == "soft" else h5py.ExternalLink("secret.hdf5", where)
        )
    for trust in (False, True):
        with pytest.raises(InvalidInputError, match="link"):
            ModelrunnerStorage(path, write_mode="readonly", trust=trust)[0]


def test_arrays_of_other_files_are_not_read() -> None:
    path = written("x.hdf5")
    written("secret.hdf5")
    layout = h5py.VirtualLayout((2, 2, 3), float)
    layout[:] = h5py.VirtualSource("secret.hdf5", "trajectory/data", (2, 2, 3))
    with h5py.File(path, "a") as file:
        del file["trajectory/data"]
        file["trajectory"].create_virtual_dataset("data", layout)
    with pytest.raises(InvalidInputError, match="link"):
        ModelrunnerStorage(path, write_mode="readonly")[0]


@pytest.mark.parametrize("coded", ["filters", "compressor"])
def test_a_zarr_array_that_is_decoded_by_pickle_is_refused(coded: str) -> None:
    path = written("x.zarr")
    group = path / "trajectory"
    for file in sorted(group.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    group.rmdir()
    old: Any = zarr.open_group(str(path / "old"), mode="w", zarr_format=2)
    old.create_array("data", shape=(2, 3), chunks=(1, 3), dtype="f8")
    old.create_array("time", shape=(2,), dtype="f8", fill_value=0)
    (path / "zarr.json").unlink()
    os.replace(path / "old", path / "trajectory")
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    described = json.loads((group / "data" / ".zarray").read_text())
    described[coded] = {"id": "pickle"} if coded == "compressor" else [{"id": "pickle"}]
    (group / "data" / ".zarray").write_text(json.dumps(described))
    (group / "data" / "0.0").write_bytes(pickle.dumps(Runs()))
    with pytest.raises((InvalidInputError, FormatError), match="pickle"):  # Zarr 3 itself may
        ModelrunnerStorage(path, write_mode="readonly")[0]
    assert not RAN.exists()


@pytest.mark.parametrize("name", ["x.json", "x.yaml"])
@pytest.mark.parametrize("part", ["data", "time"])
def test_a_pickle_for_the_dtype_of_a_text_file_holds_a_dtype_only(name: str, part: str) -> None:
    path = written(name)
    good = base64.encodebytes(pickle.dumps(np.dtype("f8"))).decode()
    text = path.read_text()
    content = json.loads(text) if name == "x.json" else None
    if content is not None:
        assert content["trajectory"][part]["dtype"] == good
        content["trajectory"][part]["dtype"] = BAD
        path.write_text(json.dumps(content))
    else:
        import yaml

        content = yaml.safe_load(text)
        content["trajectory"][part]["dtype"] = BAD
        path.write_text(yaml.safe_dump(content))
    for use in uses_of(path):
        with pytest.raises(InvalidInputError, match="trust=True"):
            use()
    assert not RAN.exists()


@pytest.mark.parametrize("place", ["whole", "group", "rows"])
def test_a_pickle_anywhere_in_a_json_file_is_refused(place: str) -> None:
    path = written("x.json")
    content: Any = json.loads(path.read_text())
    if place == "whole":
        content = {"__pickled__": BAD}
    elif place == "group":
        content["other"] = {"__pickled__": BAD}
    else:
        content["trajectory"]["data"]["data"] = [{"__pickled__": BAD}]
    path.write_text(json.dumps(content))
    with pytest.raises(InvalidInputError, match="trust=True"):
        ModelrunnerStorage(path, write_mode="readonly")[0]
    assert not RAN.exists()


def test_a_yaml_file_that_calls_functions_is_refused() -> None:
    Path("x.yaml").write_text('trajectory: !!python/object/apply:os.system ["touch ran"]\n')
    for trust in (False, True):
        with pytest.raises(FormatError, match="damaged"):
            ModelrunnerStorage("x.yaml", write_mode="readonly", trust=trust)[0]
    assert not RAN.exists()


@pytest.mark.parametrize("name", FORMATS)
def test_the_class_that_a_file_names_is_not_imported(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("named_by_a_file.py").write_text("open('ran', 'w').close()\nclass Bad: pass\n")
    path = written(name)
    opened: Any = MODELRUNNER.open_storage(path, mode="full")
    if name != "x.zip":
        opened._storage._write_attr(["trajectory"], "__class__", "named_by_a_file.Bad")
    opened.close()
    assert ModelrunnerStorage(path, write_mode="readonly")[1][0, 0] == 1
    assert "named_by_a_file" not in sys.modules
    assert not RAN.exists()


def test_an_open_storage_is_looked_at_as_well() -> None:
    path = with_bad_attribute("x.hdf5")
    with MODELRUNNER.open_storage(path, mode="read") as group:
        with pytest.raises(InvalidInputError, match="trust=True"):
            ModelrunnerStorage(group, write_mode="readonly")[0]
        assert not RAN.exists()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kind", ["f8", ">f4", "i2", "?", "c16"])
def test_large_arrays_of_every_kind_come_back_without_trust(name: str, kind: str) -> None:
    values = np.arange(11.0 * 13).reshape(11, 13).astype(kind)
    storage = ModelrunnerStorage(name, info={"limits": np.arange(300.0), "at": np.float32(1)})
    if name == "x.yaml" and kind == "c16":
        with pytest.raises(InvalidInputError, match="complex"):
            storage.append(values, 0)
        return
    with storage:
        storage.append(values, 0)
    found = ModelrunnerStorage(name, write_mode="readonly")
    np.testing.assert_array_equal(found[0], values)
    assert found.info["at"] == 1
    found.close()


def test_numbers_that_modelrunner_pickles_itself_are_read_without_trust() -> None:
    values = np.arange(120.0).reshape(10, 12)
    with MODELRUNNER.TrajectoryWriter(
        "x.json", attrs={"array": values.T, "phase": 1j, "kind": np.dtype(">i4")}
    ) as writer:
        writer.append(values + 2j, 0.5)
    found = ModelrunnerStorage("x.json", write_mode="readonly")
    np.testing.assert_array_equal(found[0], values + 2j)
    with MODELRUNNER.TrajectoryWriter("x.hdf5", attrs={"by": Path("me")}) as writer:
        writer.append(values, 0.5)
    with pytest.raises(InvalidInputError, match=r"by.*pathlib.*trust=True"):
        ModelrunnerStorage("x.hdf5", write_mode="readonly")[0]
    trusted = ModelrunnerStorage("x.hdf5", write_mode="readonly", trust=True)
    np.testing.assert_array_equal(trusted[0], values)
    trusted.close()


@pytest.mark.parametrize("name", ["x.json", "x.yaml", "x.zip", "x.hdf5", "x.zarr", "x"])
def test_a_damaged_file_is_said_to_be(name: str) -> None:
    if name in {"x.zarr", "x"}:
        Path(name).mkdir()
        Path(name, "zarr.json").write_text("{torn")
    else:
        Path(name).write_text("{torn: [")
    with pytest.raises(FormatError, match=name):
        len(ModelrunnerStorage(name, write_mode="readonly"))


@pytest.mark.parametrize("text", ["[]", "3", '{"trajectory": 3}', '{"trajectory": {"data": 3}}'])
def test_another_json_file_is_no_storage(text: str) -> None:
    Path("x.json").write_text(text)
    with pytest.raises(FormatError, match="restore"):
        ModelrunnerStorage("x.json", write_mode="readonly").info["x"]
