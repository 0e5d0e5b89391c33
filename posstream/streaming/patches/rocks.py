"""Opens the partitions of a table in RocksDB, with one memory for all of them.

Faust gives each partition a cache and memtables of its own, so memory grows with the number of
partitions. And at every start but the first, rocksdict ignores the options that it is given: it
reads those that it stored, which have neither the cache nor the filter. It does use the options of
the column family `default`, so this module gives those.

Files are not read by `mmap`, though a hit among a million entries would cost a third less: a
failing disk would then end the process by a signal, and no error would tell which partition to
rebuild.
"""

from pathlib import Path
from typing import Any, Final

import rocksdict
from faust.stores import rocksdb

from posstream.streaming.patches.hot import HotPartition

#: Cached blocks of all partitions, as they are on the disk.
CACHE_BYTES: Final = 64 * 1024 * 1024
#: Entries of all partitions that were written and are in no file yet.
UNWRITTEN_BYTES: Final = 64 * 1024 * 1024
_MEMTABLE_BYTES: Final = 8 * 1024 * 1024
_MEMTABLES: Final = 2
_OPEN_FILES: Final = 64
_FILTER_BITS: Final = 10


class Options(rocksdb.RocksDBOptions):
    """The options with which every partition of a store is opened.

    Args:
        hot_bytes: the memory for values that one partition keeps, in bytes; 0: none.
    """

    def __init__(self, hot_bytes: int = 0) -> None:
        super().__init__(use_rocksdict=True)
        self._hot_bytes = hot_bytes
        self._cache = rocksdict.Cache(CACHE_BYTES)
        self._unwritten = rocksdict.WriteBufferManager(UNWRITTEN_BYTES, False)

    def open(self, path: Path, *, read_only: bool = False) -> Any:  # noqa: ARG002 - upstream's
        """Open a partition, which is made if there is none."""
        options = self.as_options()
        db = rocksdict.Rdict(str(path), options=options, column_families={"default": options})
        db.set_read_options(rocksdict.ReadOptions())
        return HotPartition(db, self._hot_bytes) if self._hot_bytes else db

    def as_options(self) -> Any:
        """The options, as rocksdict takes them."""
        table = rocksdict.BlockBasedOptions()
        table.set_block_cache(self._cache)
        table.set_bloom_filter(_FILTER_BITS, block_based=False)
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_max_open_files(_OPEN_FILES)
        options.set_write_buffer_size(_MEMTABLE_BYTES)
        options.set_max_write_buffer_number(_MEMTABLES)
        options.set_write_buffer_manager(self._unwritten)
        options.set_block_based_table_factory(table)
        return options
