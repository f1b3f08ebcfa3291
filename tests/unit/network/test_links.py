from scow.network import links


def test_split() -> None:
    assert links.split("db:database") == ("db", "database")
    assert links.split("/db:/web/database") == ("db", "database")
    assert links.split("db") == ("db", "db")


def test_environment() -> None:
    env = links.environment("web", "db", "10.0.0.2", ["5432/tcp", "53/udp"], ["PASSWORD=s3cret", "PATH=/bin"])
    assert env == [
        "DB_NAME=/web/db",
        "DB_PORT=tcp://10.0.0.2:5432",
        "DB_PORT_53_UDP=udp://10.0.0.2:53",
        "DB_PORT_53_UDP_ADDR=10.0.0.2",
        "DB_PORT_53_UDP_PORT=53",
        "DB_PORT_53_UDP_PROTO=udp",
        "DB_PORT_5432_TCP=tcp://10.0.0.2:5432",
        "DB_PORT_5432_TCP_ADDR=10.0.0.2",
        "DB_PORT_5432_TCP_PORT=5432",
        "DB_PORT_5432_TCP_PROTO=tcp",
        "DB_ENV_PASSWORD=s3cret",
    ]
