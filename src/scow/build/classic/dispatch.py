"""One classic build: instructions in order, an image for each step.

A step is looked for in the cache by its parent, the configuration it starts with and its text with all values in it; else it is done and
the image it makes is remembered. RUN is a container, COPY and ADD write to a layer directly, the rest changes the configuration only.
"""

import base64
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scow import ids, units
from scow.build.classic import refusals
from scow.build.classic.buildargs import PREDEFINED, Scope, Words
from scow.build.classic.cache import StepCache, record
from scow.build.classic.context import Context
from scow.build.classic.files import Files
from scow.build.classic.request import ClassicRequest
from scow.build.classic.steps import StepRunner
from scow.build.dockerfile import config as configs
from scow.build.dockerfile import instructions as lang
from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.instructions.base import Instruction
from scow.build.dockerfile.parser import Document
from scow.build.dockerfile.stages import Stage, Stages, triggers
from scow.errors import InvalidArgument, NotFound, ScowError
from scow.gotemplate.values import go_quote
from scow.images.platforms import Platform, host_platform, parse_platform
from scow.images.service import ImageService
from scow.images.store import Image
from scow.reference import Reference

Config = dict[str, Any]
Write = Callable[[dict[str, Any]], Awaitable[None]]

SCRATCH = "scratch"
_RED, _PLAIN = "\x1b[91m", "\x1b[0m"


class StepFailed(InvalidArgument):
    """The process of a RUN step ended with another code than 0."""

    def __init__(self, command: str, exit_code: int) -> None:
        super().__init__(f"The command '{command}' returned a non-zero code: {exit_code}")
        self.exit_code = exit_code


@dataclass(slots=True)
class State:
    """Where a stage has come to: its image so far (None = scratch), the configuration, its platform."""

    image: Image | None = None
    config: Config = field(default_factory=dict)
    platform: Platform = field(default_factory=host_platform)
    cmd_given: bool = False
    author: str = ""


class Dispatch:
    """Carries out the stages of one Dockerfile."""

    def __init__(
        self,
        request: ClassicRequest,
        context: Context,
        document: Document,
        images: ImageService,
        runner: StepRunner,
        cache: StepCache,
        scratch: Path,
        write: Write,
    ) -> None:
        self._request = request
        self._escape = document.escape
        self._images = images
        self._runner = runner
        self._cache = cache
        self._write = write
        self._scope = Scope(request.build_args)
        self._files = Files(images, context, scratch)
        self._done: list[tuple[Stage, State]] = []
        self._step = 0
        self._steps = 0
        self._leases = ExitStack()

    async def run(self, stages: Stages, leases: ExitStack) -> Image:
        """Build up to the target stage; its image. The layers of every image on the way are leased in `leases`. Raises ScowError."""
        self._leases = leases
        last = stages.target(self._request.target)
        wanted = stages.stages[: last.index + 1]
        extra = 1 if self._request.labels else 0
        self._steps = len(stages.args) + sum(1 + len(stage.commands) for stage in wanted) + extra
        for arg in stages.args:
            await self._announce(arg.text)
            for name, default in arg.expanded(Words(self._scope.meta(), self._escape)).args:
                self._scope.declare_meta(name, default)
        state = State()
        for stage in wanted:
            state = await self._stage(stage, more=bool(extra) and stage is wanted[-1])
            self._done.append((stage, state))
        await self._warn()
        if state.image is None:
            raise InvalidArgument("No image was generated. Is your Dockerfile empty?")
        return state.image

    async def say(self, text: str) -> None:
        """A piece of output."""
        if not self._request.quiet:
            await self._write({"stream": text})

    async def _announce(self, text: str) -> None:
        self._step += 1
        await self.say(f"Step {self._step}/{self._steps} : {text}\n")

    async def _warn(self) -> None:
        unused = self._scope.unconsumed()
        if unused:
            await self.say(f"[Warning] One or more build-args [{' '.join(unused)}] were not consumed\n")

    # --- stages

    async def _stage(self, stage: Stage, more: bool) -> State:
        self._scope.new_stage()
        await self._announce(stage.head.text)
        state = await self._begin(stage)
        await self.say(f" ---> {ids.short(state.image.id.removeprefix('sha256:')) if state.image else ''}\n")
        inherited = list(state.config.pop("OnBuild", None) or [])
        if inherited:
            await self.say(f"# Executing {len(inherited)} build trigger{'s' if len(inherited) > 1 else ''}\n")
            for one in triggers(inherited, self._escape):
                await self._instruction(state, one)
        for one in stage.commands:
            await self._announce(one.text)
            await self._instruction(state, one)
        if more:
            labels = lang.Label(pairs=tuple(sorted(self._request.labels.items())))
            text = " ".join(f"{key}={value}" for key, value in labels.pairs)
            await self._announce(f"LABEL {text}")
            await self._change(state, labels, f"LABEL {text}")
        return state

    async def _begin(self, stage: Stage) -> State:
        head = stage.head.expanded(Words(self._scope.meta(), self._escape))
        if not head.base:
            raise DockerfileError(
                f"base name ({stage.head.base}) should not be blank", stage.head.start, stage.head.end, "FROM", parsing=False
            )
        wanted = head.platform or self._request.platform
        if head.base.lower() == SCRATCH:
            state = State(platform=parse_platform(wanted) if wanted else host_platform())
        elif (known := self._named(head.base)) is not None:
            if known.image is None:
                raise InvalidArgument(f"stage {head.base} has no image: it is empty")
            state = State(known.image, dict(known.config), known.platform, author=known.author)
        else:
            image = await self._image(head.base, wanted)
            self._lease(image)
            platform = Platform(image.os, image.architecture, image.variant)
            state = State(image, dict(image.config), platform, author=str(image.spec.get("author") or ""))
        if "PATH" not in configs.environment(state.config):
            state.config["Env"] = configs.set_env(state.config.get("Env") or [], [("PATH", configs.DEFAULT_PATH)])
        return state

    def _named(self, name: str) -> State | None:
        for stage, state in reversed(self._done):
            if stage.name and stage.name == name.lower():
                return state
        return None

    async def _image(self, name: str, platform: str) -> Image:
        """An image of this engine, or of a registry where it is missing or `--pull` was given."""
        if not self._request.pull:
            try:
                image = self._images.get(name)
            except NotFound:
                pass
            else:
                if not platform or parse_platform(platform).architecture == image.architecture:
                    return image
        reference = Reference.parse(name).tagged()
        try:
            async for line in self._images.travel().pull(reference, platform, self._auth(reference.domain)):
                if not self._request.quiet:
                    await self._write(line)
        except ScowError:
            if not self._request.pull:
                raise
            return self._images.get(name)  # what is here is better than nothing: an image made locally has no registry
        return self._images.get(name)

    def _auth(self, domain: str) -> str:
        for host in (domain, f"https://{domain}", "https://index.docker.io/v1/" if domain == "docker.io" else domain):
            if host in self._request.registries:
                return base64.urlsafe_b64encode(json.dumps(dict(self._request.registries[host])).encode()).decode()
        return ""

    # --- instructions

    def _words(self, state: State) -> Words:
        return Words({**self._scope.values(), **configs.environment(state.config)}, self._escape)

    async def _instruction(self, state: State, given: Instruction) -> None:
        refusals.check(given)
        try:
            one = given.expanded(self._words(state))
        except DockerfileError as error:
            raise error.at(given.start, given.end, given.name, parsing=False) from None
        match one:
            case lang.Arg(args=args):
                for name, default in args:
                    self._scope.declare(name, default)
                text = " ".join(name if default is None else f"{name}={default}" for name, default in args)
                await self._change(state, one, f"ARG {text}")
            case lang.Maintainer(author=author):
                state.author = author
                await self._change(state, one, f"MAINTAINER {author}")
            case lang.Run():
                await self._run(state, one)
            case lang.Copy() | lang.Add():
                await self._copy(state, one)
            case lang.Workdir():
                await self._workdir(state, one)
            case _:
                await self._change(state, one, _comment(state.config, one))
        if isinstance(one, lang.Cmd):
            state.cmd_given = True

    async def _change(self, state: State, one: Instruction, comment: str) -> None:
        """A step that changes the configuration only."""
        after = configs.apply(state.config, one, state.cmd_given)
        created_by = _nop(state.config, f" {comment}")
        if await self._hit(state, comment, created_by, after):
            return
        await self._commit(state, comment, created_by, after, layer="")

    async def _workdir(self, state: State, one: lang.Workdir) -> None:
        after = configs.apply(state.config, one)
        comment = f"WORKDIR {after['WorkingDir']}"
        created_by = _nop(state.config, f" {comment}")
        if await self._hit(state, comment, created_by, after):
            return
        layer = await self._files.make_directory(state.image, str(after["WorkingDir"]))
        await self._commit(state, comment, created_by, after, layer)

    async def _copy(self, state: State, one: "lang.Copy | lang.Add") -> None:
        source = await self._source(one) if isinstance(one, lang.Copy) and one.from_ else None
        plan = await self._files.plan(one, state.config, source)
        # what is copied is known by its content, never by the name it came under
        comment = f"{one.name} {plan.digest} in {one.dest} "
        created_by = _nop(state.config, f"{comment}")
        if await self._hit(state, f"{comment}{one.chown}", created_by, state.config):
            return
        layer = await self._files.copy(state.image, plan)
        await self._commit(state, f"{comment}{one.chown}", created_by, state.config, layer)

    async def _source(self, one: lang.Copy) -> Image:
        """The image that COPY --from names: an earlier stage by name or number, or any image."""
        name = one.from_
        if (known := self._named(name)) is None and name.isascii() and name.isdigit():
            number = int(name[:6])
            if number >= len(self._done):
                raise InvalidArgument(f"invalid from flag value {name}: refers to current build block or one that does not exist")
            known = self._done[number][1]
        if known is None:
            return await self._image(name, self._request.platform)
        if known.image is None:
            raise InvalidArgument(f"invalid from flag value {name}: the stage is empty")
        return known.image

    async def _run(self, state: State, one: lang.Run) -> None:
        words = configs.command_line(state.config, one.command)
        if not words:
            raise DockerfileError("RUN requires a command", one.start, one.end, "RUN", parsing=False)
        known = configs.environment(state.config)
        recorded = {name: value for name, value in sorted(self._scope.recorded().items()) if name not in known}
        shown = words
        if recorded:
            named = [f"{name}={value}" for name, value in recorded.items() if name not in PREDEFINED or name in self._scope.recorded()]
            shown = [f"|{len(named)}", *named, *words]
        created_by = " ".join(shown)
        if await self._hit(state, f"RUN {created_by}", created_by, state.config):
            return
        if state.image is None:
            raise InvalidArgument(f"the command '{' '.join(words)}' cannot run: FROM scratch is empty, COPY a program into it first")
        env = [f"{name}={value}" for name, value in self._scope.values().items() if name not in known]
        asked = {**state.config, "Env": [*(state.config.get("Env") or []), *env], "Cmd": words, "Entrypoint": [""]}
        asked |= {"Healthcheck": {"Test": ["NONE"]}, "OnBuild": None, "Shell": None}
        layer, container_id = await self._process(state, asked, " ".join(words))
        await self._commit(state, f"RUN {created_by}", created_by, state.config, layer, container_id)

    async def _process(self, state: State, asked: Config, command: str) -> tuple[str, str]:
        """Run a step's container; (its layer, its id)."""
        assert state.image is not None
        container_id = await self._runner.create(state.image.id, asked, self._request.limits.host_config())
        keep = False
        try:
            await self.say(f" ---> Running in {ids.short(container_id)}\n")
            keep = not self._request.force_remove
            try:
                code = await self._runner.run(container_id, self._output)
            except ScowError as error:
                if (started := getattr(error, "exit_code", 0)) and not isinstance(error, StepFailed):
                    await self.say(f"{_RED}{error.message}\n{_PLAIN}")
                    raise StepFailed(command, started) from error
                raise
            if code:
                raise StepFailed(command, code)
            keep = not self._request.remove
            take = self._images.layers.add_changes if keep else self._images.layers.adopt
            layer = (await take(container_id, _top(state.image))).name
            if not keep:
                await self.say(f" ---> Removed intermediate container {ids.short(container_id)}\n")
        except ScowError:
            raise
        except BaseException:  # the client has gone: nothing of it stays
            keep = False
            raise
        finally:
            if keep:
                self._runner.keep(container_id)
            else:
                await self._runner.remove(container_id)
        return layer, container_id

    async def _output(self, data: bytes, is_stderr: bool) -> None:
        text = data.decode("utf-8", "replace")
        await self.say(f"{_RED}{text}{_PLAIN}" if is_stderr else text)

    # --- images

    async def _hit(self, state: State, step: str, created_by: str, after: Config) -> bool:
        found = self._cache.find(state.image, state.config, step, created_by, after)
        if found is None:
            return False
        await self.say(" ---> Using cache\n")
        state.image = found
        state.config = dict(after)
        await self._came_to(found)
        return True

    async def _came_to(self, image: Image) -> None:
        self._lease(image)
        await self.say(f" ---> {ids.short(image.id.removeprefix('sha256:'))}\n")

    def _lease(self, image: Image) -> None:
        """Nobody's prune takes away what this build stands on."""
        self._leases.enter_context(self._images.layers.lease(image.layers))

    async def _commit(self, state: State, step: str, created_by: str, after: Config, layer: str, container_id: str = "") -> None:
        """The image behind a step; `layer` is the name of the layer it adds, "" = none."""
        parent, before = state.image, state.config
        now = units.rfc3339nano(time.time_ns())
        row: Config = {"created": now, "created_by": created_by}
        row |= {"author": state.author} if state.author else {}
        row |= {} if layer else {"empty_layer": True}
        diff_ids = list(parent.diff_ids) if parent else []
        if layer:
            made = self._images.snapshots.layer(layer)
            assert made is not None
            diff_ids.append(made.diff_id)
        spec: Config = {"architecture": state.platform.architecture, "os": state.platform.os, "created": now, "config": after}
        spec |= {"variant": state.platform.variant} if state.platform.variant else {}
        spec |= {"author": state.author} if state.author else {}
        spec |= {"container": container_id} if container_id else {}
        spec["history"] = [*((parent.spec.get("history") or []) if parent else []), row]
        spec["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
        image = record(self._images, spec, parent)
        self._cache.put(parent, before, step, image.id)
        state.image, state.config = image, dict(after)
        await self._came_to(image)


def _top(image: Image | None) -> str:
    return image.layers[-1] if image and image.layers else ""


def _nop(config: Config, comment: str) -> str:
    """How a step without a process stands in the history."""
    return " ".join([*configs.shell(config), f"#(nop) {comment}"])


def _words_of(words: list[str]) -> str:
    return "[" + " ".join(go_quote(word) for word in words) + "]"


def _comment(config: Config, one: Instruction) -> str:
    """An instruction's text with all values in it, as Docker's history has it."""
    match one:
        case lang.Env(pairs=pairs) | lang.Label(pairs=pairs):
            return f"{one.name} " + " ".join(f"{key}={value}" for key, value in pairs)
        case lang.Expose():
            return "EXPOSE " + " ".join(sorted(one.exposed()))
        case lang.Volume(paths=paths):
            return f"VOLUME [{' '.join(paths)}]"
        case lang.User(user=user):
            return f"USER {user}"
        case lang.StopSignal(signal=signal):
            return f"STOPSIGNAL {signal}"
        case lang.Shell(shell=words):
            return f"SHELL [{' '.join(words)}]"
        case lang.Cmd(command=command) | lang.Entrypoint(command=command):
            return f"{one.name} {_words_of(configs.command_line(config, command))}"
        case lang.Healthcheck():
            return f"HEALTHCHECK {configs.health(one)}"
        case lang.Onbuild(expression=expression):
            return f"ONBUILD {expression}"
        case _:
            return one.text
