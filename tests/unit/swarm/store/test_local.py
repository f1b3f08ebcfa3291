"""The store on the node's own database."""

from pathlib import Path

import pytest

from scow.errors import InvalidArgument
from scow.metadata import Database
from scow.swarm.objects import Cluster, Secret, Service, Task, TaskState, TaskStatus
from scow.swarm.store.local import LocalStore, forget
from scow.swarm.store.sealed import Sealer
from scow.swarm.store.store import Tx
from tests.support.asynchronous import on_loop


def fill(tx: Tx) -> None:
    tx.create(Service(id="s", spec={"Name": "web", "TaskTemplate": {"ContainerSpec": {"Env": ["P=env-hush"]}}}, registry_auth="auth-hush"))
    tx.create(Secret(id="x", spec={"Name": "password"}, data="aHVzaA=="))
    tx.create(Cluster(id="c", root_key="key-hush", tokens={"worker": "token-hush"}))
    tx.create(Task(id="t", service_id="s", slot=1, status=TaskStatus(TaskState.RUNNING)))


@on_loop
async def test_everything_is_there_again_and_nothing_secret_is_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "meta.db"
    db = Database(path)
    store = LocalStore(db, Sealer(b"k" * 32))
    await store.update(fill)
    service = store.find(Service, "web")
    await store.update(lambda tx: tx.update(service.changed(spec={"Name": "web", "Labels": {"a": "b"}})))
    await store.update(lambda tx: tx.delete(Task, "t"))
    db.close()
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for hidden in (b"hush", b"aHVzaA"):
        assert hidden not in content
    db = Database(path)
    again = LocalStore(db, Sealer(b"k" * 32))
    assert again.version == store.version == 3
    assert again.all(Task) == []
    for cls in (Service, Secret, Cluster):
        assert again.all(cls) == store.all(cls)
    with pytest.raises(InvalidArgument):
        LocalStore(db, Sealer(b"x" * 32))
    forget(db)
    assert LocalStore(db, Sealer(b"x" * 32)).all(Service) == []
    db.close()
