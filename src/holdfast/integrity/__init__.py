"""Data that are provably the same after they moved, and what goes with that.

A *digest* is the XXH3-128 of a folder's files and their names; a *seal* is the digest with one of
each file, kept in the folder itself. Transfers are verified against what was read, deletions never
leave their folder, and values are interpolated to other times. XXH3 finds accidents; it is no
protection against somebody who changes data on purpose.
"""

from holdfast.integrity._checksum import (
    CHECKSUM_FILE,
    SEAL_FILE,
    calculate_directory_checksum,
)
from holdfast.integrity._delete import delete_directory
from holdfast.integrity._interpolate import interpolate_data
from holdfast.integrity._seal import (
    SealReport,
    is_sealed,
    seal_directory,
    verify_directory,
)
from holdfast.integrity._transfer import TransferReport, transfer_directory

__all__ = [
    "CHECKSUM_FILE",
    "SEAL_FILE",
    "SealReport",
    "TransferReport",
    "calculate_directory_checksum",
    "delete_directory",
    "interpolate_data",
    "is_sealed",
    "seal_directory",
    "transfer_directory",
    "verify_directory",
]
