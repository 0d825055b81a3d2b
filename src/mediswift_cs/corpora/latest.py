"""Which of several records with one PMID counts, and which were deleted: a few bytes a record."""

import numpy as np
import numpy.typing as npt

KEPT, SUPERSEDED, DELETED = 0, 1, 2


class LatestRecords:
    """Follows PubMed's rules over all files read, in their order.

    Of the records with one PMID, the highest version counts, and of equal versions the one read
    last (update files revise records without a new version). A deletion takes back what was read
    before it; a record that comes after it counts again.

    Written documents are known by their line number. Memory: 5 bytes a PMID up to the largest, 1 a
    line; all of PubMed (42 million PMIDs) needs about 250 MB.

    Args:
        size: PMIDs that have room from the start. Pages of numpy.zeros take no memory until they
            are written to.

    Attributes:
        status: bytes, one a line: KEPT, SUPERSEDED or DELETED.
    """

    def __init__(self, size: int = 1 << 26) -> None:
        self._line_of: npt.NDArray[np.uint32] = np.zeros(size, np.uint32)  # line + 1, 0: none
        self._version: npt.NDArray[np.uint8] = np.zeros(size, np.uint8)  # 0: not seen
        self.status = bytearray()

    @property
    def num_reserved(self) -> int:
        """For how many PMIDs there is room in the table."""
        return len(self._version)

    def is_superseded(self, pmid: int, version: int) -> bool:
        """Whether a higher version of the record was read before."""
        self._reserve(pmid)
        return int(self._version[pmid]) > min(version, 255)

    def add(self, pmid: int, version: int, *, written: bool) -> None:
        """Note a record that is not superseded; ``written``: it is the next line of the output."""
        self._reserve(pmid)
        self._drop(pmid, SUPERSEDED)
        self._version[pmid] = max(1, min(version, 255))
        if written:
            self.status.append(KEPT)
            self._line_of[pmid] = len(self.status)

    def delete(self, pmid: int, version: int) -> bool:
        """Take back a record; returns whether this version or an older one was read before."""
        self._reserve(pmid)
        if not 0 < int(self._version[pmid]) <= max(version, 1):
            return False
        self._drop(pmid, DELETED)
        self._version[pmid] = 0
        return True

    def _drop(self, pmid: int, status: int) -> None:
        line = int(self._line_of[pmid])
        if line:
            self.status[line - 1] = status
            self._line_of[pmid] = 0

    def _reserve(self, pmid: int) -> None:
        if pmid < self.num_reserved:
            return
        size = max(pmid + 1, 2 * self.num_reserved)
        for name in ("_line_of", "_version"):
            old = getattr(self, name)
            new = np.zeros(size, old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)
