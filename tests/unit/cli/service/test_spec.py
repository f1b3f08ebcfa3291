"""What `service create` and `update` send; held against docker's own requests when it was written."""

import copy

import pytest

from scow.cli import flags as flaglib
from scow.cli.command import Cli
from scow.cli.commands.service import change, flags, spec
from scow.errors import ScowError


class Engine:
    """Names become ids; what is asked for is there."""

    def get(self, path, params=None):
        if path.startswith("/networks/"):
            name = path.split("/")[2]
            return {"Id": f"id-{name.removeprefix('id-')}", "Name": name.removeprefix("id-")}
        return [{"ID": f"id-{name}", "Spec": {"Name": name}} for name in ("s1", "s2", "c1")]


@pytest.fixture
def cli(tmp_path):
    return Cli(Engine, lambda name: "", str(tmp_path))


def create(cli, *words):
    options, args = flaglib.parse(flags.CREATE, list(words), False)
    made = spec.build(options, args, {"AAA": "there"}.get)
    spec.resolve_spec(cli, made)
    return made


SERVICE = {
    "Name": "w",
    "Labels": {"old": "1"},
    "TaskTemplate": {
        "ContainerSpec": {
            "Image": "busy:1",
            "Env": ["A=1", "B=2"],
            "Hosts": ["1.1.1.1 one", "2.2.2.2 two"],
            "Mounts": [{"Type": "volume", "Source": "v", "Target": "/v"}],
            "Secrets": [{"File": {"Name": "old"}, "SecretID": "x", "SecretName": "old"}],
            "CapabilityAdd": ["CAP_NET_ADMIN"],
            "CapabilityDrop": ["CAP_CHOWN"],
            "Healthcheck": {"Test": ["CMD-SHELL", "x"], "Interval": 1},
            "Unknown": {"kept": True},
        },
        "Networks": [{"Target": "id-net1"}],
        "Placement": {"Constraints": ["a==b"]},
        "ForceUpdate": 2,
    },
    "Mode": {"Replicated": {"Replicas": 2}},
    "EndpointSpec": {"Mode": "vip", "Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"}]},
}


def update(cli, *words):
    options, _ = flaglib.parse(flags.UPDATE, [*words, "w"])
    change.check(options)
    made = copy.deepcopy(SERVICE)
    change.apply(cli, options, made)
    return made


def test_a_plain_service(cli):
    assert create(cli, "img", "a", "-b") == {
        "Name": "",
        "Labels": {},
        "TaskTemplate": {
            "ContainerSpec": {"Image": "img", "Args": ["a", "-b"], "DNSConfig": {}, "Init": False},
            "Resources": {"Limits": {}, "Reservations": {}},
            "Placement": {},
            "ForceUpdate": 0,
        },
        "Mode": {"Replicated": {"Replicas": 1}},
        "EndpointSpec": {"Mode": "vip"},
    }


def test_variables_secrets_networks_and_policies(cli):
    words = ["-e", "AAA", "-e", "B=1", "-e", "B=2", "--secret", "s1", "--config", "source=c1,target=/c", "--network", "name=n,alias=a"]
    words += ["--update-delay", "3s", "--update-max-failure-ratio", "0.5", "--restart-condition", "none", "--host", "h:1.2.3.4"]
    made = create(cli, *words, "--health-cmd", "x", "--health-retries", "3", "--entrypoint", "sh -c 'a b'", "img")
    task = made["TaskTemplate"]
    container = task["ContainerSpec"]
    assert container["Env"] == ["AAA=there", "B=2"] and container["Command"] == ["sh", "-c", "a b"]
    assert container["Secrets"][0]["SecretID"] == "id-s1" and container["Configs"][0]["File"]["Name"] == "/c"
    assert container["Hosts"] == ["1.2.3.4 h"] and container["Healthcheck"] == {"Test": ["CMD-SHELL", "x"], "Retries": 3}
    assert task["Networks"] == [{"Target": "id-n", "Aliases": ["a"]}]
    assert task["RestartPolicy"] == {"Condition": "none", "Delay": 5_000_000_000, "MaxAttempts": 0}
    assert made["UpdateConfig"]["Delay"] == 3_000_000_000 and made["UpdateConfig"]["MaxFailureRatio"] == 0.5


@pytest.mark.parametrize(
    ("words", "gist"),
    [
        ("--mode x img", "Unknown mode: x"),
        ("--mode global --replicas 2 img", "replicas can only"),
        ("--max-concurrent 2 img", "max-concurrent can only"),
        ("--mode global-job --update-delay 1s img", "not supported for jobs"),
        ("--no-healthcheck --health-cmd a img", "conflicts"),
        ("--secret nosuch img", "secret not found: nosuch"),
        ("--secret s1 --secret source=s2,target=s1 img", "duplicate secret target"),
        ("--generic-resource a=b img", "Named Generic Resources"),
    ],
)
def test_contradictions(cli, words, gist):
    with pytest.raises(ScowError, match=gist):
        create(cli, *words.split())


def test_jobs(cli):
    assert create(cli, "--mode", "replicated-job", "--replicas", "4", "i")["Mode"] == {
        "ReplicatedJob": {"MaxConcurrent": 4, "TotalCompletions": 4},
    }
    assert create(cli, "--mode", "global-job", "i")["Mode"] == {"GlobalJob": {}}


def test_an_update_changes_what_it_names_and_leaves_the_rest(cli):
    assert update(cli) == SERVICE
    made = update(cli, "--env-add", "C=3", "--env-add", "A=9", "--env-rm", "B", "--label-add", "old=2", "--label-rm", "old", "--force")
    task = made["TaskTemplate"]
    assert task["ContainerSpec"]["Env"] == ["A=9", "C=3"] and made["Labels"] == {"old": "2"} and task["ForceUpdate"] == 3
    assert task["ContainerSpec"]["Unknown"] == {"kept": True}


@pytest.mark.parametrize(
    ("words", "key", "expected"),
    [
        ("--host-rm one:1.1.1.1 --host-add c:3.3.3.3", "Hosts", ["2.2.2.2 two", "3.3.3.3 c"]),
        ("--mount-rm /v --mount-add type=tmpfs,target=/t", "Mounts", [{"Type": "tmpfs", "Target": "/t"}]),
        ("--secret-rm old", "Secrets", []),
        ("--cap-add CHOWN", "CapabilityDrop", None),
        ("--cap-drop net_admin", "CapabilityAdd", None),
        ("--cap-add SYS_TIME", "CapabilityAdd", ["CAP_NET_ADMIN", "CAP_SYS_TIME"]),
        ("--no-healthcheck", "Healthcheck", {"Test": ["NONE"]}),
        ("--health-interval 2s", "Healthcheck", {"Test": ["CMD-SHELL", "x"], "Interval": 2_000_000_000}),
    ],
)
def test_parts_of_the_container(cli, words, key, expected):
    assert update(cli, *words.split())["TaskTemplate"]["ContainerSpec"][key] == expected


def test_networks_ports_and_replicas(cli):
    made = update(cli, "--network-add", "net2", "--network-rm", "net1", "--publish-rm", "80", "--publish-add", "9:90", "--replicas", "5")
    assert made["TaskTemplate"]["Networks"] == [{"Target": "id-net2"}] and made["Mode"]["Replicated"]["Replicas"] == 5
    assert [port["PublishedPort"] for port in made["EndpointSpec"]["Ports"]] == [9]
    with pytest.raises(ScowError, match="already attached to network net1"):
        update(cli, "--network-add", "net1")
    with pytest.raises(ScowError, match="could not find generic-resource"):
        update(cli, "--generic-resource-rm", "gpu")
