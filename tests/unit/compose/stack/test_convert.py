"""Stack files as the objects docker makes of them (held against its own requests when written)."""

from types import SimpleNamespace

import pytest

from scow.cli.command import Cli, ExitCode
from scow.compose.stack import deploy, diff, files
from scow.compose.stack.convert import Stack, check_name
from scow.errors import ScowError

FILE = """
services:
  web:
    image: busy:1
    command: sleep 1000
    entrypoint: ["a"]
    environment: {A: "1", N: }
    healthcheck: {test: "true", interval: 1s}
    ports: ["8080:80", {target: 70, published: 7070, mode: host}]
    networks: {default: {aliases: [www]}, inner: , out: }
    volumes: ["data:/data", "/host:/h:ro", {type: tmpfs, target: /t, tmpfs: {size: 1000}}, "old:/old"]
    configs: [conf, {source: conf2, target: /c2, mode: 0400}]
    secrets: [sec]
    deploy:
      replicas: 2
      endpoint_mode: dnsrr
      labels: {on: service}
      update_config: {parallelism: 2, delay: 3s, order: start-first}
      restart_policy: {condition: on-failure, max_attempts: 4}
      resources: {limits: {cpus: "0.5", memory: 64M}, reservations: {memory: 8M}}
      placement: {constraints: ["node.role == manager"], preferences: [{spread: node.labels.zone}], max_replicas_per_node: 3}
      x-autoscale: {min: 1, max: 5, cpu: 70}
  job: {image: j, restart: "on-failure:3", deploy: {mode: replicated-job, replicas: 3, x-cron: "@daily"}}
  g: {image: j, deploy: {mode: global}, healthcheck: {disable: true}}
networks: {inner: {attachable: true, ipam: {config: [{subnet: 10.5.0.0/16}]}}, out: {external: true, name: far}}
volumes: {data: {driver: local, labels: {v: w}}, old: {external: true}}
configs: {conf: {file: ./conf}, conf2: {file: ./conf, name: real}}
secrets: {sec: {file: ./conf}}
"""


def read(tmp_path, text, monkeypatch):
    (tmp_path / "conf").write_text("c")
    (tmp_path / "stack.yaml").write_text(text)
    cli = Cli(lambda: None, lambda name: "", str(tmp_path))
    return files.project(cli, [str(tmp_path / "stack.yaml")])


@pytest.fixture
def stack(tmp_path, monkeypatch):
    return Stack("st", read(tmp_path, FILE, monkeypatch))


def test_names_and_labels(stack):
    own = {"com.docker.stack.namespace": "st"}
    assert list(stack.networks) == ["st_default", "st_inner"] and stack.external["networks"] == ["far"]
    assert stack.networks["st_default"] == {"Driver": "overlay", "Labels": own}
    assert stack.networks["st_inner"]["IPAM"] == {"Config": [{"Subnet": "10.5.0.0/16"}]}
    assert list(stack.configs) == ["st_conf", "real"] and stack.secrets["st_sec"] == {"Name": "st_sec", "Labels": own, "Data": "Yw=="}
    web = stack.services["st_web"]
    assert web["Labels"] == {
        **own,
        "on": "service",
        "com.docker.stack.image": "busy:1",
        "scow.autoscale.min": "1",
        "scow.autoscale.max": "5",
        "scow.autoscale.cpu": "70",
    }
    assert stack.services["st_job"]["Labels"]["scow.cron"] == "@daily"
    assert web["TaskTemplate"]["ContainerSpec"]["Labels"] == own


def test_services(stack):
    web, job, everywhere = (stack.services[f"st_{name}"] for name in ("web", "job", "g"))
    task = web["TaskTemplate"]
    container = task["ContainerSpec"]
    assert (container["Command"], container["Args"], container["Env"]) == (["a"], ["sleep", "1000"], ["A=1", "N"])
    assert container["Healthcheck"] == {"Test": ["CMD-SHELL", "true"], "Interval": 1_000_000_000}
    assert [mount.get("Source") for mount in container["Mounts"]] == ["st_data", "/host", None, "old"]
    assert container["Mounts"][0]["VolumeOptions"] == {
        "Labels": {"com.docker.stack.namespace": "st", "v": "w"},
        "DriverConfig": {"Name": "local"},
    }
    assert [(one["ConfigName"], one["File"]["Name"], one["File"]["Mode"]) for one in container["Configs"]] == [
        ("real", "/c2", 0o400),
        ("st_conf", "conf", 0o444),
    ]
    assert container["Secrets"][0]["File"]["Name"] == "sec"
    assert task["Networks"] == [
        {"Target": "far", "Aliases": ["web"]},
        {"Target": "st_default", "Aliases": ["www", "web"]},
        {"Target": "st_inner", "Aliases": ["web"]},
    ]
    assert task["Resources"] == {"Limits": {"NanoCPUs": 500_000_000, "MemoryBytes": 64 << 20}, "Reservations": {"MemoryBytes": 8 << 20}}
    assert task["RestartPolicy"] == {"Condition": "on-failure", "MaxAttempts": 4}
    assert task["Placement"]["MaxReplicas"] == 3 and web["Mode"] == {"Replicated": {"Replicas": 2}}
    assert web["EndpointSpec"]["Mode"] == "dnsrr" and [port["PublishedPort"] for port in web["EndpointSpec"]["Ports"]] == [7070, 8080]
    assert web["UpdateConfig"] == {"Parallelism": 2, "Delay": 3_000_000_000, "MaxFailureRatio": 0.0, "Order": "start-first"}
    assert job["Mode"] == {"ReplicatedJob": {"MaxConcurrent": 3, "TotalCompletions": 3}}
    assert job["TaskTemplate"]["RestartPolicy"] == {"Condition": "on-failure", "MaxAttempts": 3}
    assert everywhere["Mode"] == {"Global": {}} and everywhere["TaskTemplate"]["ContainerSpec"]["Healthcheck"] == {"Test": ["NONE"]}


@pytest.mark.parametrize(
    ("text", "gist"),
    [
        ("services: {web: {command: x}}", "image"),
        ("services: {web: {image: x, networks: [nowhere]}}", "nowhere"),
        ("services: {web: {image: x, secrets: [nosuch]}}", "nosuch"),
        ("services: {web: {image: x, volumes: ['nosuch:/x']}}", "nosuch"),
        ("services: {web: {image: x, mem_limit: 5}}", "mem_limit"),
        ("services: {web: {image: x, deploy: {x-autoscale: {cpuu: 5}}}}", "did you mean scow.autoscale.cpu?"),
        ("services: {web: {image: x, deploy: {x-autoscale: {max: 5}}}}", "autoscaling needs a target"),
        ("services: {web: {image: x, deploy: {x-cron: soon}}}", "is no schedule"),
        ("services: {web: {image: x, deploy: {x-autoscale: {}}}}", "must be a mapping as"),
        ("services: {web: {image: x, deploy: {x-autoscale: {cpu: -5}}}}", "is no percentage above 0"),
        ("services: {web: {image: x, deploy: {x-autoscale: {memory: 50}}}}", "set one"),
        ("services: {web: {image: x, deploy: {x-autoscale: {cpu: 50}, mode: global}}}", "are for replicated services"),
        ("services: {web: {image: x, deploy: {x-cron: '@daily'}}}", "is for jobs"),
        ("services: {web: {image: x, deploy: {labels: {scow.autoscale.cpu: fast}}}}", "is no percentage above 0"),
        ("services: {web: {image: x, deploy: {labels: {scow.autoscale.cpu: 60}, x-autoscale: {cpu: 50}}}}", "say it once"),
        ("services: {web: {image: x, bogus: 1}}", "bogus"),
        ("services: [", "yaml"),
    ],
)
def test_files_that_are_refused(tmp_path, monkeypatch, text, gist):
    with pytest.raises((ScowError, ExitCode)) as found:
        read(tmp_path, text, monkeypatch)
    assert gist in getattr(found.value, "message", str(found.value))


def test_what_stacks_ignore_is_said(tmp_path, monkeypatch):
    found = read(tmp_path, "services: {web: {image: x, restart: always, privileged: true, container_name: xx}}", monkeypatch)
    text = files.warnings(found)
    assert "Ignoring unsupported options: privileged, restart\n" in text and "container_name: Setting" in text
    for name in ("", "a b", "!", "-x"):
        with pytest.raises(ScowError):
            check_name(name)


class Engine:
    def __init__(self, stack, edit):
        self.services = [{"ID": "1", "Spec": edit({**stack.services["st_web"]})}, {"ID": "2", "Spec": {"Name": "st_gone"}}]

    def get(self, path, params=None):
        if path == "/services":
            return self.services
        return [{"Id": "n1", "Name": "st_default"}] if path == "/networks" else []


def test_differences(stack, tmp_path):
    def edit(spec):
        task = {**spec["TaskTemplate"], "ForceUpdate": 7, "Runtime": "container"}
        task["ContainerSpec"] = {**task["ContainerSpec"], "Image": "busy:1@sha256:" + "0" * 64, "Env": ["A=0"]}
        spec["RollbackConfig"] = {"FailureAction": "pause", "Order": "stop-first", "Parallelism": 0, "MaxFailureRatio": 0}
        return {**spec, "TaskTemplate": task, "Mode": {"Replicated": {"Replicas": 3}}}

    cli = Cli(lambda: Engine(stack, edit), lambda name: "", str(tmp_path))
    lines = diff.text(cli, stack, True).splitlines()
    assert "+ network st_inner" in lines and "+ service st_g  image j" in lines and "- service st_gone" in lines
    assert "~ service st_web" in lines
    assert not any("Replicas" in line for line in lines)  # its load scales it
    assert not any("RollbackConfig" in line for line in lines)  # the engine's defaults
    assert any("Env.A" in line and '"0" -> "1"' in line for line in lines) and not any("ForceUpdate" in line for line in lines)


@pytest.mark.parametrize(
    ("labels", "before", "after"), [({"scow.autoscale.cpu": "70"}, 4, 4), ({}, 4, 1), ({"scow.autoscale.cpu": "70"}, 0, 1)]
)
def test_a_service_scaled_by_its_load_keeps_its_number_when_deployed_again(labels: dict[str, str], before: int, after: int) -> None:
    spec = {"Labels": labels, "Mode": {"Replicated": {"Replicas": 1}}}
    deploy.keep_scaled(spec, {"Mode": {"Replicated": {"Replicas": before}}})
    assert spec["Mode"] == {"Replicated": {"Replicas": after}}


class Objects:
    """A swarm that has these secrets and configs, and no right to be changed."""

    def __init__(self, secrets, configs):
        self.there = {"/secrets": secrets, "/configs": configs, "/info": {"Swarm": {"ControlAvailable": True}}}
        self.asked = []

    def get(self, path, params=None):
        self.asked.append(path)
        if path == "/networks/far":
            return {"Scope": "swarm"}
        return self.there.get(path, [])


def difference(stack, tmp_path, monkeypatch, engine, dry=False):
    monkeypatch.setattr(deploy, "project", lambda cli, names: stack.project)
    monkeypatch.setattr(deploy, "warnings", lambda found: "")
    cli = Cli(lambda: engine, lambda name: "", str(tmp_path))
    given = SimpleNamespace(flag=lambda name: name == "dry-run", list=lambda name: [], text=lambda name: "always")
    return (deploy.deploy if dry else deploy.diff)(cli, given, ["st"])


def test_what_cannot_be_changed_is_told_and_no_secret_is_shown(stack, tmp_path, monkeypatch, capsys):
    own = {"com.docker.stack.namespace": "st"}
    secret = {"Spec": {"Name": "st_sec", "Labels": {}}}
    same = {"Spec": {"Name": "st_conf", "Labels": own, "Data": stack.configs["st_conf"]["Data"]}}
    other = {"Spec": {"Name": "real", "Labels": own, "Data": "b3RoZXI="}}
    assert difference(stack, tmp_path, monkeypatch, Objects([secret], [same, other])) == 2
    said = capsys.readouterr().out
    assert "! config real has other content" in said and "st_conf" not in said
    assert '~ secret st_sec\n    Labels.com.docker.stack.namespace: (none) -> "st"' in said
    assert stack.secrets["st_sec"]["Data"] not in said
    assert difference(stack, tmp_path, monkeypatch, Objects([secret], [same, other]), dry=True) == 1
    assert difference(stack, tmp_path, monkeypatch, Objects([], [same]), dry=True) == 0
    assert difference(stack, tmp_path, monkeypatch, Objects([], [same])) == 1


def test_trouble_is_no_difference(stack, tmp_path, monkeypatch):
    assert deploy.DIFF.error_code == 2
    engine = Objects([], [])
    engine.there["/info"] = {}
    with pytest.raises(ScowError, match="not a swarm manager"):
        difference(stack, tmp_path, monkeypatch, engine)


def test_what_docker_always_sends_is_there(stack):
    """Without it a stack that docker deployed would be started anew by scow, and the other way round."""
    always = {"CredentialSpec": None, "SELinuxContext": None, "NoNewPrivileges": False}
    assert all(one["TaskTemplate"]["ContainerSpec"]["Privileges"] == always for one in stack.services.values())
