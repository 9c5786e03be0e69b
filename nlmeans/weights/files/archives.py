"""Zip files whose members cannot fill the memory."""

import io
import zipfile
import zlib

from nlmeans.weights.errors import Refusal

# Float weights hardly shrink when compressed; what grows more than this is no weights file.
LARGEST_GROWTH, SPARE = 20, 2**20
UNREADABLE = (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, OSError, zlib.error)
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # whose output can be read piece by piece


class Budget:
    """How many bytes the content of a file may take in memory, whatever it claims or repeats."""

    def __init__(self, file_size: int) -> None:
        self.file_size = file_size
        self.left = LARGEST_GROWTH * file_size + SPARE

    def take(self, count: int, claim: str) -> None:
        """Count so many bytes; `claim` begins the message if they are too many."""
        self.left -= count
        if self.left < 0:
            raise Refusal(
                f"{claim} {count} bytes from a file of {self.file_size}; all its content may have "
                f"{LARGEST_GROWTH} times its size: it is no weights file but a bomb"
            )


class Archive:
    """The members of a zip file that is held in memory, checked before any is unpacked."""

    def __init__(self, data: bytes) -> None:
        self.budget = Budget(len(data))
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except UNREADABLE as error:
            raise Refusal(
                f"is a damaged or truncated zip file ({error}); fetch it again"
            ) from error
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            if info.filename in self._members:
                raise Refusal(
                    f"holds two members named {info.filename!r}; it has been tampered with"
                )
            if info.compress_type not in COMPRESSIONS or info.flag_bits & 1:
                raise Refusal(
                    f"member {info.filename!r} is encrypted or oddly compressed; store it"
                )
            self._members[info.filename] = info
        self.budget.take(sum(info.file_size for info in self._members.values()), "would unpack to")

    @property
    def names(self) -> list[str]:
        return list(self._members)

    def read(self, name: str) -> bytes:
        """A member's content, no byte more than its entry says."""
        size = self._members[name].file_size
        try:
            with self._zip.open(name) as member:
                content = member.read(size)
                whole = len(content) == size and not member.read(1)
        except UNREADABLE as error:
            raise Refusal(f"member {name!r} is damaged ({error}); fetch the file again") from error
        if not whole:
            raise Refusal(f"member {name!r} is not as long as its entry says; fetch the file again")
        return content
