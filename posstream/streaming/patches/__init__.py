"""The one room that touches private names of Faust, mode, aiokafka and rocksdict.

Each module says in its docstring why, with the upstream issue where one is known. Most patches are
subclasses that `streaming.app` uses. Three change aiokafka for the whole process, because aiokafka
makes those objects itself: `install` does that, once, when a process starts. Two change Faust for
the whole process: each app does `discovery` before its first agent, a worker's host does `worker`.

    module            what it changes                                        its test
    ----------------  -----------------------------------------------------  ----------------
    batch             aiokafka: appends to a batch in compiled code only     test_pins
    client            aiokafka, whole process: short requests, a heartbeat   test_producer
                      that is not answered closes the connection
    consumer          Faust: commits of what is finished only (#606), whole  test_driver
                      fetches, lists, one message for a replay, bounded ends
    consumer_thread   Faust: fetch wait, read committed, tills first, holes  test_driver
                      of the log, starts without a commit, leaving the group
    discovery         Faust, whole process: agents and timers are not noted  test_pins
                      for a scan of all modules that is never made
    driver            Faust: the transport with our consumer and producer    test_pins
    flow_control      mode: a resumed flow keeps what the buffers hold       test_driver
    hot               rocksdict: what is read most stays in memory           test_hot
    joined_batch      aiokafka: a batch whose records come in pieces         test_joined_batch
    oauth             aiokafka, whole process: a token that is refused is    test_bearer_tokens
                      an error
    pace              aiokafka: longer waits of fetches while nothing comes  test_pins
    producer          Faust, aiokafka: waits for brokers, writes once        test_producer
    records           aiokafka, whole process: any header name, no object    test_records
                      more than needed for a record
    recovery          Faust: tables start at once; a recovery that times     test_recovery
                      out ends the worker
    rocks             rocksdict: one memory for all partitions               test_rocks
    store             Faust: a store outlives damage and another changelog   test_store
                      (#158)
    table             Faust: writes outside of streams, acknowledged changes test_store
    watermarks        the embedded broker: true ends of partitions           test_driver
    worker            Faust: our log, no banner and no spinner               test_worker_log

**When an upgrade breaks one.** Versions are pinned in `setup.cfg`, and `test_pins` names them: an
upgrade is a change of its own. Raise the pins and run `tests/component/test_pins.py`: it shows
which private name is gone or has other parameters. Then run the test of each module above with the
module switched off: upstream alone must fail it. If it passes, upstream has fixed the fault: delete
the module and its line here. If not, adapt the module. At the end `make chaos` (lost 0) and
`make bench-recovery` decide.
"""


def install() -> None:
    """Change aiokafka for this process: see `client`, `oauth` and `records`."""
    from posstream.streaming.patches import client, oauth, records

    client.install()
    oauth.install()
    records.install()
