"""How much CPU loading a compose file of 50 services costs, imports included (the house's limit: 60 ms). Each run is a fresh interpreter;
the fastest counts. `python tests/bench/compose_load.py [SERVICES [RUNS]]`"""

import subprocess
import sys
import tempfile
from pathlib import Path

SRC = Path(__file__).resolve().parents[2] / "src"
LIMIT_MS = 60
PROBE = """
import time
first = time.process_time()
import sys
sys.path.insert(0, {src!r})
from scow.compose.load.loader import load
from scow.compose.load.options import LoadOptions
imported = time.process_time()
project = load(LoadOptions(files=({file!r},), environ={{"TAG": "1"}}))
from scow.compose import documents, hash
loaded = time.process_time()
[hash.digest(one) for one in project.services.values()]
hashed = time.process_time()
documents.text(documents.of_project(project), "yaml")
print(imported - first, loaded - imported, hashed - loaded, time.process_time() - hashed)
"""
SERVICE = """
  service{n}:
    image: registry.example.com/team/service{n}:${{TAG:-latest}}
    command: ["serve", "--port", "80{n}"]
    restart: unless-stopped
    environment:
      DATABASE_URL: postgres://user:pass@db/${{NAME:-app{n}}}
      LOG_LEVEL: info
      WORKERS: 4
    ports: ["80{n:02d}:80"]
    volumes: ["./data{n}:/data", "shared:/shared:ro"]
    networks: [front, back]
    labels: {{team: core, "com.example.number": "{n}"}}
    depends_on: [{before}]
    healthcheck: {{test: ["CMD", "curl", "-f", "http://localhost/"], interval: 10s, timeout: 3s, retries: 3}}
    deploy: {{resources: {{limits: {{cpus: "0.5", memory: 256M}}}}}}
"""


def text(count: int) -> str:
    """A file of that many services."""
    services = "".join(SERVICE.format(n=n, before=f"service{n - 1}" if n else "") for n in range(count))
    return f"services:{services}\nnetworks: {{front: , back: }}\nvolumes: {{shared: }}\n"


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "compose.yaml"
        file.write_text(text(count))
        code = PROBE.format(src=str(SRC), file=str(file))
        found = []
        for _ in range(runs):
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"})
            found.append([1000 * float(word) for word in done.stdout.split()])
    imports, load, hashes, document = min(found, key=lambda one: one[0] + one[1])
    print(f"{count} services: imports {imports:.1f} ms, load {load:.1f} ms, hashes {hashes:.1f} ms, document {document:.1f} ms")
    return int(count == 50 and imports + load > LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
