"""What a verb works with: the project, the engine, the display. Made by `commands/main.py` for one line of the user's."""

from __future__ import annotations

import sys
import time

from scow.cli import libraries, terminal
from scow.cli.command import Cli, ExitCode
from scow.client.api import Client
from scow.compose import observe
from scow.compose.display import progress
from scow.compose.load.errors import unknown_service
from scow.compose.model.project import Network, Project, Volume
from scow.compose.model.service import Dependency, Service
from scow.compose.observe import ContainerInfo, Observed
from scow.compose.plan import Plan
from scow.compose.records import replace
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from scow.cli.flags import Options
    from scow.compose.display.progress import Progress
    from scow.compose.execute.run import Run
    from scow.compose.load.options import LoadOptions

TRUE = ("1", "t", "true", "y", "yes", "on")


class Session:
    """One run of a verb."""

    def __init__(self, cli: Cli, given: Options, dry: bool = False, program: str = "scow compose") -> None:
        """`given` are the flags before the verb."""
        self.cli, self.given, self.program = cli, given, program
        self.dry = dry or given.flag("dry-run")
        self.environ = cli.environ()
        self._progress: progress.Progress | None = None
        self._copies: dict[str, str] = {}
        self.name = ""  # of the project, once it is known

    # ------------------------------------------------ the engine

    @property
    def client(self) -> Client:
        """The engine."""
        return self.cli.client

    def dial(self) -> Client:
        """A client for another thread."""
        return self.cli.redial()

    # ------------------------------------------------ the project

    def load(self, **more: Any) -> Project:
        """The project of the files; `more` goes into the LoadOptions. Warnings are told. Raises LoadError."""
        libraries.load()
        from scow.compose.load.loader import load

        project = load(self.load_options(**more))
        self.name = project.name
        for sentence in project.warnings:
            self.warn(sentence)
        for name, value in project.environment.items():
            if name.startswith("COMPOSE_"):
                self.environ.setdefault(name, value)
        return project

    def load_options(self, **more: Any) -> LoadOptions:
        """The LoadOptions of the flags before the verb."""
        from scow.compose.load.options import LoadOptions

        given = self.given
        options: dict[str, Any] = {
            "files": tuple(given.list("file")),
            "project_dir": given.text("project-directory") or given.text("workdir"),
            "project_name": given.text("project-name"),
            "env_files": tuple(given.list("env-file")),
            "profiles": tuple(given.list("profile")),
            "environ": self.environ,
            "remote": self._fetched,
        }
        return LoadOptions(**{**options, **more})

    def _fetched(self, address: str) -> str:
        """A copy of a file that is elsewhere. Raises ScowError."""
        from scow.compose import remote

        if address not in self._copies:
            self._copies[address] = remote.local(self, address)
        return self._copies[address]

    def project(self, services: Iterable[str] = (), dependencies: bool = True) -> Project:
        """The project with the named services (none: all) and what they depend on. Raises LoadError."""
        from scow.compose.load import profiles

        return profiles.narrowed(self.load(), services, dependencies, self.given.flag("all-resources"))

    def known(self) -> tuple[Project | None, str]:
        """(the project, its name); no project where nothing but a name is given. Raises LoadError."""
        name = self.given.text("project-name")
        if name and not self.given.list("file"):
            from scow.compose.load import files

            if files.project_name(name) != name:
                raise ScowError(files.bad_name(name))
            return None, name
        try:
            project = self.load()
        except ScowError:
            if self.environ.get("COMPOSE_PROJECT_NAME"):
                return None, self.environ["COMPOSE_PROJECT_NAME"]
            raise
        return project, project.name

    def acting(
        self, services: Iterable[str] = (), everything: bool = False, enabled: bool = False
    ) -> tuple[Project, Observed, list[ContainerInfo]]:
        """(project, all containers of it, those of the named services or of all). Where there are no files, services are those that have
        containers. One-off containers belong to it where `everything` is asked for; with `enabled` nothing does of services that are
        unknown or off. Raises ScowError for unknown services."""
        project, name = self.known()
        found, api = observe.containers(self.client, name)
        observed = Observed(containers=found, api=api)
        if project is None:
            project = of_containers(name, found)
        names = list(services)
        if any(one in project.disabled for one in names):
            from scow.compose.load import profiles

            project = profiles.with_profiles(project, profiles.profiles_for(project, names))
        for one in names:
            if one not in project.services and one not in project.disabled:
                raise unknown_service(one, project.services)
        wanted = set(names) or (set(project.services) if enabled else set())
        chosen = [one for one in found if (not wanted or one.service in wanted) and (everything or not one.oneoff)]
        return project, observed, chosen

    def container(self, service: str, index: int = 0, running: bool = True) -> ContainerInfo:
        """The container of a service that is meant: with that index, else the first. Raises ScowError."""
        _, name = self.known()
        found = [one for one in observe.containers(self.client, name)[0] if one.service == service and not one.oneoff]
        alive = [one for one in found if one.state == "running" or not running]
        for one in alive:
            if not index or one.number == index:
                return one
        if index:
            raise ScowError(f'service "{service}" is not running container #{index}')
        raise ScowError(f'service "{service}" is not running' if running or found else f'no container found for service "{service}"')

    # ------------------------------------------------ settings

    def setting(self, flag: str, variable: str, default: str = "") -> str:
        """A flag before the verb, else a variable of the environment."""
        return self.given.text(flag) or self.environ.get(variable, "") or default

    def truth(self, variable: str) -> bool:
        """A variable of the environment that turns something on."""
        return self.environ.get(variable, "").lower() in TRUE

    @property
    def separator(self) -> str:
        """Between the parts of a container's name."""
        return "_" if self.given.flag("compatibility") or self.truth("COMPOSE_COMPATIBILITY") else "-"

    @property
    def parallel(self) -> int:
        """How many operations run at once."""
        text = self.environ.get("COMPOSE_PARALLEL_LIMIT", "")
        limit = self.given.number("parallel") if self.given.given("parallel") else int(text) if text.isdigit() else -1
        return limit if limit > 0 else 16

    @property
    def colour(self) -> bool:
        """Whether standard output is coloured."""
        ansi = self.ansi
        return ansi == "always" or (ansi == "auto" and terminal.is_terminal(1) and not self.environ.get("NO_COLOR"))

    @property
    def ansi(self) -> str:
        """never, always or auto."""
        if self.given.flag("no-ansi"):
            return "never"
        ansi = self.setting("ansi", "COMPOSE_ANSI", "auto")
        if ansi not in ("never", "always", "auto"):
            raise ExitCode(16, f'unsupported --ansi value "{ansi}": use never, always or auto')
        return ansi

    # ------------------------------------------------ the display

    @property
    def progress(self) -> progress.Progress:
        """How operations are shown."""
        if self._progress is None:
            mode = self.setting("progress", "COMPOSE_PROGRESS", "auto")
            if mode not in ("auto", "tty", "plain", "json", "rawjson", "quiet"):
                raise ExitCode(16, f'unsupported --progress value "{mode}": use auto, tty, plain, json or quiet')
            ansi = self.ansi
            fd = 1 if self.truth("COMPOSE_STATUS_STDOUT") else 2
            live = terminal.is_terminal(fd) and ansi != "never" and self.environ.get("TERM") != "dumb"
            self._progress = progress.make(mode, live, terminal.size(fd), ansi != "never" and not self.environ.get("NO_COLOR"))
            self._progress.out = sys.stdout if fd == 1 else sys.stderr
        return self._progress

    def quiet(self) -> None:
        """Nothing is shown from now on."""
        self.end()
        self._progress = progress.Quiet()

    def end(self) -> None:
        """The display's last drawing."""
        if self._progress is not None:
            self._progress.close()
            self._progress = None

    def warn(self, sentence: str) -> None:
        """A warning, written as docker's tools write it."""
        if terminal.is_terminal(2):
            self.cli.err(f"WARN[0000] {sentence} \n")
        else:
            text = sentence.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
            self.cli.err(f'time="{stamp[:-2]}:{stamp[-2:]}" level=warning msg="{text}"\n')

    # ------------------------------------------------ carrying out

    def begin(self, project: Project, observed: Observed, display: Progress | None = None, **more: Any) -> Run:
        """A run of a plan, with the session's settings; `more` is the Run's. Its caller closes it."""
        from scow.compose.execute.run import Run

        return Run(project, observed, self.dial, display or self.progress, parallel=self.parallel, separator=self.separator, **more)

    def carry_out(self, plan: Plan, project: Project, observed: Observed, **more: Any) -> None:
        """Does what a plan says, or prints it where that is asked for. `more` is the Run's. Raises what fails."""
        if self.dry:
            self.cli.out(plan.text())
            return
        from scow.compose.execute.executor import execute

        run = self.begin(project, observed, **more)
        try:
            execute(run, plan)
        finally:
            run.close()
            self.end()

    def would(self, sentence: str) -> bool:
        """In a dry run, says what would be done; whether it is one."""
        if self.dry:
            self.cli.out(f"would {sentence}\n")
        return self.dry


def of_containers(name: str, containers: Iterable[ContainerInfo]) -> Project:
    """What a project is known to be by its containers."""
    services: dict[str, Service] = {}
    for one in containers:
        if one.service and one.service not in services:
            depends = {other: Dependency(condition=condition, restart=restart) for other, (condition, restart) in one.depends.items()}
            services[one.service] = Service(name=one.service, depends_on=depends, image=str(one.summary.get("Image") or ""))
    for service in services.values():
        for other in [other for other in service.depends_on if other not in services]:
            del service.depends_on[other]
    return Project(name=name, services=services)


def with_resources(project: Project, observed: Observed) -> Project:
    """A project that is known by its containers only, with the networks and volumes that the engine knows of it."""
    return replace(
        project,
        networks={key: Network(name=key) for key in observed.networks},
        volumes={key: Volume(name=key) for key in observed.volumes},
    )
