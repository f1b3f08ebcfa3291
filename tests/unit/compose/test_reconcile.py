"""Plans as text: what is wanted against what runs."""

import pytest

from scow.compose import create, labels
from scow.compose.model.build import FileUse
from scow.compose.model.project import FileObject, Network, Project, Volume
from scow.compose.model.service import Dependency, Endpoint, Port, Service
from scow.compose.observe import ContainerInfo, Observed
from scow.compose.reconcile import Options, order, reconcile, starting, teardown
from scow.compose.records import replace
from scow.errors import ScowError


def service(name: str, *depends: str, condition: str = "service_started", restart: bool = False, **more: object) -> Service:
    wanted = {other: Dependency(condition=condition, restart=restart) for other in depends}
    return Service(name=name, image="busybox", networks={"default": None}, depends_on=wanted, **more)  # type: ignore[arg-type]


def project(*services: Service) -> Project:
    return Project(
        name="p",
        services={one.name: one for one in services},
        networks={"default": Network(name="p_default")},
        volumes={"data": Volume(name="p_data")},
    )


def running(one: Service, number: int = 1, state: str = "running", **more: object) -> ContainerInfo:
    name = f"p-{one.name}-{number}"
    given = {"id": f"{name}-id", "name": name, "service": one.name, "number": number, "state": state, "hash": create.digest(one, {})}
    return ContainerInfo(**{**given, **more})  # type: ignore[arg-type]


def observed(*containers: ContainerInfo) -> Observed:
    return Observed(containers=containers, networks={"p_default": {}}, volumes={"p_data": {}})


def kinds(text: str) -> list[str]:
    return [" ".join(line.split()[1:3]).rstrip(":") for line in text.splitlines()]


WEB, DB = service("web", "db"), service("db")


def test_all_is_made_in_order() -> None:
    plan = reconcile(project(WEB, DB), Observed(), Options())
    assert plan.text() == (
        "  1 network p_default: it is not there\n"
        "  2 volume p_data: it is not there\n"
        "  3 create p-db-1: it is not there [after 1, 2]\n"
        "  4 create p-web-1: it is not there [after 1, 2]\n"
        "  5 start p-db-1: it is new [after 3, 4]\n"
        "  6 start p-web-1: it is new [after 3, 4, 5]\n"
    )


def test_what_runs_as_wanted_is_kept() -> None:
    plan = reconcile(project(WEB, DB), observed(running(WEB), running(DB)), Options())
    assert kinds(plan.text()) == ["keep p-db-1", "keep p-web-1"]


@pytest.mark.parametrize(
    ("change", "options", "cause"),
    [
        ({"hash": "other"}, Options(), "its configuration changed"),
        ({"image": "sha256:1"}, Options(images={"busybox": "sha256:2"}), "its image changed"),
        ({}, Options(recreate="force"), "asked for"),
    ],
)
def test_causes_of_making_anew(change: dict[str, str], options: Options, cause: str) -> None:
    plan = reconcile(project(DB), observed(running(DB, **change)), options)
    assert f"recreate p-db-1: {cause}" in plan.text()
    assert "start p-db-1" in plan.text()
    assert kinds(reconcile(project(DB), observed(running(DB, **change)), replace(options, recreate="never")).text()) == ["keep p-db-1"]


def test_conditions_come_before_who_waits() -> None:
    web = service("web", "db", condition="service_healthy")
    job = service("job", "web", condition="service_completed_successfully")
    text = reconcile(project(web, DB, job), observed(), Options()).text()
    assert kinds(text)[3:] == ["start p-db-1", "wait p-db-1", "start p-web-1", "completed p-web-1", "start p-job-1"]
    assert "wait p-db-1: web wants it healthy" in text
    # nobody waits where all run already
    assert kinds(reconcile(project(web, DB), observed(running(web), running(DB)), Options()).text()) == ["keep p-db-1", "keep p-web-1"]


def test_who_asks_for_it_restarts_with_what_it_depends_on() -> None:
    web = service("web", "db", restart=True)
    assert (
        "restart p-web-1: what it depends on is made anew"
        in reconcile(project(web, DB), observed(running(web), running(DB, hash="old")), Options()).text()
    )


def test_scaling() -> None:
    db = replace(DB, scale=2)
    assert kinds(reconcile(project(db), observed(running(DB)), Options()).text()) == ["create p-db-2", "keep p-db-1", "start p-db-2"]
    text = reconcile(project(DB), observed(running(DB), running(DB, 2)), Options()).text()
    assert kinds(text) == ["stop p-db-2", "remove p-db-2", "keep p-db-1"]
    with pytest.raises(ScowError, match="custom container name"):
        reconcile(project(replace(db, container_name="one")), observed(), Options())


def test_orphans_go_on_demand() -> None:
    old = running(service("old"))
    assert kinds(reconcile(project(DB), observed(running(DB), old), Options()).text()) == ["keep p-db-1"]
    assert kinds(reconcile(project(DB), observed(running(DB), old), Options(remove_orphans=True)).text())[:2] == [
        "stop p-old-1",
        "remove p-old-1",
    ]


def test_who_lives_in_another_follows_it() -> None:
    side = replace(service("side"), networks={}, network_mode="service:db")
    here = running(side, hash=create.digest(side, {"db": "p-db-1-id"}))
    assert kinds(reconcile(project(side, DB), observed(here, running(DB)), Options()).text()) == ["keep p-db-1", "keep p-side-1"]
    text = reconcile(project(side, DB), observed(here, running(DB, hash="old")), Options()).text()
    assert "recreate p-side-1: it shares with db, which is made anew [after 1]" in text


def test_rollouts_where_they_are_possible() -> None:
    web = replace(WEB, ports=(Port(target=80, published="80"),), extensions={"x-rollout": "start-first"})
    here = running(web, hash="old")
    text = reconcile(project(web, DB), observed(here, running(DB, state="exited")), Options()).text()
    assert kinds(text) == ["start p-db-1", "rollout p-web-1"]
    assert "rollout p-web-1: its configuration changed [after 1]" in text
    for other in (replace(web, container_name="x"), replace(web, networks={"default": Endpoint(ipv4_address="10.0.0.9")})):
        assert "rollout" not in reconcile(project(other, DB), observed(here, running(DB)), Options()).text()
    assert "rollout" not in reconcile(project(web, DB), observed(replace(here, state="exited"), running(DB)), Options()).text()
    assert "rollout" in reconcile(project(WEB, DB), observed(here, running(DB)), Options(rollout=True)).text()


def test_left_overs_of_runs_that_were_cut_off() -> None:
    old = running(DB, hash="old", id="a" * 64)
    new = running(DB, id="new", name=f"{'a' * 12}_p-db-1", labels={labels.REPLACE: "a" * 64}, state="created")
    assert kinds(reconcile(project(DB), observed(old, new), Options()).text()) == [
        f"remove {'a' * 12}_p-db-1",
        "recreate p-db-1",
        "start p-db-1",
    ]
    text = reconcile(project(DB), observed(replace(new, state="running")), Options()).text()
    assert kinds(text) == ["rename p-db-1", "keep p-db-1"]


def test_a_rollout_comes_after_what_an_earlier_one_left_is_removed() -> None:
    web = replace(WEB, depends_on={}, extensions={"x-rollout": "start-first"})
    left = running(web, id="new", name="0123456789ab_p-web-1", labels={labels.REPLACE: "old"})
    plan = reconcile(project(web), observed(running(web, id="old", hash="other"), left), Options())
    assert plan.text() == (
        "  1 remove 0123456789ab_p-web-1: an earlier run ended before it took its place\n"
        "  2 rollout p-web-1: its configuration changed [after 1]\n"
    )


def test_start_and_down() -> None:
    here = observed(running(WEB, state="exited", depends={"db": ("service_started", False)}), running(DB, state="exited"))
    assert kinds(starting(project(WEB, DB, service("other")), here).text()) == ["start p-db-1", "start p-web-1"]
    up = [running(DB), running(WEB, depends={"db": ("service_started", False)})]
    text = teardown(up, ["p_default"], ["p_data"], images=["p-web"]).text()
    assert kinds(text) == [
        *("stop p-web-1", "remove p-web-1", "stop p-db-1", "remove p-db-1"),
        *("remove-network p_default", "remove-volume p_data", "remove-image p-web"),
    ]
    assert "stop p-db-1: asked for [after 1]" in text
    assert kinds(teardown(up, [], [], remove=False).text()) == ["stop p-web-1", "stop p-db-1"]


def test_circles_are_refused() -> None:
    with pytest.raises(ScowError, match="cycle"):
        order({"a": service("a", "b"), "b": service("b", "a")})


@pytest.mark.parametrize(
    ("asked", "state", "told", "found"),
    [
        ("signal", "running", "old", "signal p-db-1"),
        ({"signal": "USR1"}, "running", "old", "signal p-db-1"),
        ("signal", "exited", "old", "recreate p-db-1"),
        ("ignore", "running", "", "keep p-db-1"),
    ],
)
def test_what_a_change_of_content_does(asked: object, state: str, told: str, found: str) -> None:
    one = service("db", configs=(FileUse(source="c"),))
    whole = replace(project(one), configs={"c": FileObject(name="c", content="new", extensions={"x-on-change": asked})})
    plan = reconcile(whole, observed(running(one, state=state, told=told)), Options())
    assert kinds(plan.text())[0] == found
    signals = [row.key for row in plan.operations if row.kind == "signal"]
    assert signals == ([] if not found.startswith("signal") else ["HUP" if asked == "signal" else "USR1"])
    with pytest.raises(ScowError, match="x-on-change"):
        reconcile(
            replace(whole, configs={"c": replace(whole.configs["c"], extensions={"x-on-change": "x"})}), observed(running(one)), Options()
        )
