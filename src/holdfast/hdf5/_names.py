"""`Names`: what has which name in an append file, so that a clash is refused when it is asked for.

HDF5 would only find it at the next checkpoint, when the rows have been accepted already.
"""

from dataclasses import dataclass, field

import h5py

from holdfast._names import safe_name
from holdfast.errors import AlreadyExistsError, FormatError, InvalidInputError
from holdfast.hdf5._rows import DType, RowType


@dataclass(slots=True)
class Names:
    """Names in a file, and names that rows in its journal will bring there.

    Attributes
    ----------
    datasets : set of str
        Streams, declared datasets, and all other datasets.
    groups : set of str
        Groups, those included that names with ``/`` make.
    links : set of str
        Soft and external links, which are never followed.
    declared : dict
        Number of dimensions and dtype of datasets whose row shape is not known yet.
    """

    datasets: set[str] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    declared: dict[str, tuple[int, DType]] = field(default_factory=dict)

    def collect(self, file: h5py.File) -> None:
        """Take in what an open file holds."""
        pending = [("", file)]
        seen = {file.id}
        while pending:
            prefix, group = pending.pop()
            for key in group:
                name = f"{prefix}{key}"
                if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                    self.links.add(name)
                    continue
                item = group[key]
                if isinstance(item, h5py.Group):
                    self.groups.add(name)
                    if item.id not in seen:  # hard links can make a circle
                        seen.add(item.id)
                        pending.append((f"{name}/", item))
                elif isinstance(item, h5py.Dataset):
                    self._collect_dataset(name, item)

    def _collect_dataset(self, name: str, dataset: h5py.Dataset) -> None:
        self.datasets.add(name)
        if dataset.shape and None in dataset.maxshape[1:] and not dataset.shape[0]:
            self.declared[name] = len(dataset.shape), dataset.dtype

    def check_dataset(self, name: str) -> None:
        """Refuse a name that a stream cannot have.

        Raises
        ------
        InvalidInputError
            If the name is none, or belongs to a group, or leads through a dataset.
        FormatError
            If it is a link, or leads through one.
        """
        safe_name(name, "stream name")
        self._check_way(name)
        if name in self.groups:
            raise InvalidInputError(f"stream name {name!r} is a group already; choose another name")

    def check_owner(self, name: str) -> None:
        """Refuse a name that nothing with attributes can have; raises as `check_dataset`."""
        if name:
            safe_name(name, "stream name")
            self._check_way(name)

    def _check_way(self, name: str) -> None:
        for part in (*_parents(name), name):
            if part in self.links:
                raise FormatError(
                    f"{part!r} is a link to another place, which is not followed; choose another "
                    "name, or append to its target"
                )
            if part != name and part in self.datasets:
                raise InvalidInputError(
                    f"{name!r} would lie within {part!r}, which is a stream; choose another name"
                )

    def add_dataset(self, name: str) -> None:
        """Take a name for a dataset."""
        self.datasets.add(name)
        self.groups.update(_parents(name))

    def add_owner(self, name: str) -> None:
        """Take the groups on the way to a name that has attributes."""
        self.groups.update(_parents(name))

    def declare(self, name: str, ndim: int, dtype: DType) -> bool:
        """Take a name for a declared dataset; tell whether it is new.

        Raises
        ------
        AlreadyExistsError
            If the name has been declared otherwise.
        """
        known = self.declared.get(name)
        if known is not None and known != (ndim, dtype):
            raise AlreadyExistsError(
                f"dataset {name!r} is declared with ndim={known[0]} and dtype {known[1]} already"
            )
        if name in self.datasets:
            return False
        self.add_dataset(name)
        self.declared[name] = ndim, dtype
        return True

    def kind_of_declared(self, name: str, wanted: RowType | None) -> RowType | None:
        """Return the rows of a stream that `wanted` begins, which a declaration may restrict.

        Raises
        ------
        InvalidInputError
            If the row has another number of dimensions.
        """
        known = self.declared.get(name)
        if known is None or wanted is None:
            return wanted
        ndim, dtype = known
        if ndim != len(wanted.shape) + 1:
            raise InvalidInputError(
                f"dataset {name!r} was declared with ndim={ndim}, the row axis counted, and a row "
                f"of shape {wanted.shape} makes {len(wanted.shape) + 1}"
            )
        return RowType(dtype, wanted.shape)


def _parents(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts))]
