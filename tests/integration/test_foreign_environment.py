"""A worker among the names of other programs: it does what its own settings say."""

from pathlib import Path

from posstream.kafka.embedded_broker import EmbeddedBroker
from tests.integration.harness import Scan, Tally, Worker, foreign_client, free_port, produce

#: As Celery, a build, Kubernetes, gunicorn, Django or a shell for PostgreSQL have set them, and
#: some that Faust reads when it is imported.
FOREIGN = {
    "BROKER_URL": "redis://queue:6379/0",
    "APP_VERSION": "1.4.2",
    "APP_DATADIR": "/nowhere",
    "APP_ENV_PREFIX": "POSSTREAM",
    "TIMEZONE": "CEST",
    "WEB_PORT": "tcp://10.0.0.1:80",
    "WEB_BIND": "0.0.0.0",
    "TOPIC_PARTITIONS": "3",
    "APP_STORE": "memory://",
    "PROCESSING_GUARANTEE": "exactly_once",
    "CONSUMER_AUTO_OFFSET_RESET": "latest",
    "FAUST_DEBUG": "1",
    "F_WORKDIR": "/",
    "FAUST_DATADIR": "/",
    "NO_CYTHON": "1",
    "AIOKAFKA_NO_EXTENSIONS": "1",
    "DJANGO_SETTINGS_MODULE": "shop.settings",
    "PROMETHEUS_MULTIPROC_DIR": "/nowhere",
}


async def test_names_of_other_programs_change_nothing(tmp_path: Path) -> None:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    worker = Worker(broker.address, tmp_path / "worker", api_query="?generate=1")
    worker._environment |= FOREIGN
    worker.start()
    try:
        await worker.ready()
        scan = Scan("6f4bd1c2-5c5c-4a94-8a29-0d1f4b0f7d01", "basket_1", "+491701234567")
        async with foreign_client(broker.address) as client:
            await produce(client, [scan])
            (answer,) = await Tally(client).all_of([scan])
            partitions = await client.producer.partitions_for("customer-identified")
        assert answer["source"] == "API"
        assert len(partitions) == 2
        assert (worker.datadir / "tables" / "v1").is_dir()
        assert worker.stop() == 0, worker.log[-3000:]
    finally:
        if worker.running:
            worker.kill()
        broker.stop()
