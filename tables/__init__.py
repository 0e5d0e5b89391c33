"""The state that Faust keeps for us in RocksDB and changelog topics."""
