"""Stages to a build graph and an image config: which stages are needed, what they stand on, and every instruction in turn.

Called by `build/frontend.py`. The rules, names of steps and texts of the history are BuildKit's, so that histories and progress read the
same.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scow.build.dockerfile import stages as stagelib
from scow.build.dockerfile.config import DEFAULT_PATH
from scow.build.dockerfile.dispatch import Dispatcher
from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.expand import Expanded, expand
from scow.build.dockerfile.imageconfig import ImageConfig
from scow.build.dockerfile.instructions import Add, Copy, Instruction, Onbuild, Run, Workdir
from scow.build.dockerfile.instructions.base import hint
from scow.build.dockerfile.linter import rules
from scow.build.dockerfile.linter.lint import Lint
from scow.build.dockerfile.options import Converted, Options, Resolver, Source
from scow.build.dockerfile.parser import Document
from scow.build.dockerfile.scope import platform_args
from scow.build.dockerfile.stages import Stage, Stages
from scow.build.dockerfile.state import Bound, StageState, location
from scow.build.dockerfile.tree import Tree, emit
from scow.build.llb.ops import IMAGE, Builder, Platform, SourceInfo, SourceOp
from scow.errors import InvalidArgument, ScowError
from scow.gotemplate.values import go_quote
from scow.images.platforms import normal, parse_platform
from scow.reference import BadReference, Reference

SCRATCH = "scratch"
MAX_TRIGGER_ROUNDS = 50


def platform_of(text: str) -> Platform:
    """`linux/arm64` as the graph has it. Raises InvalidArgument."""
    found = normal(parse_platform(text))
    return Platform(found.os, found.architecture, found.variant)


async def to_llb(document: Document, stages: Stages, options: Options, resolver: Resolver, lint: Lint | None = None) -> Converted:
    """Convert one target for one platform. Raises DockerfileError with the line, or what the resolver raises."""
    return await Conversion(document, stages, options, resolver, lint or Lint()).run()


class Conversion:
    """One run of `to_llb`; what it knows in between is what outlines show."""

    def __init__(self, document: Document, stages: Stages, options: Options, resolver: Resolver, lint: Lint) -> None:
        self.document, self.stages, self.options, self.resolver, self.lint = document, stages, options, resolver, lint
        self.escape = document.escape
        self.globals: dict[str, str] = platform_args(options.build_platform, options.platform, options.target)
        self.predefined = frozenset(self.globals)
        self.states: list[StageState] = []
        self.names: dict[str, StageState] = {}
        self.images: dict[str, StageState] = {}

    async def run(self) -> Converted:
        """Everything, in order."""
        self._check_defaults()
        self._global_args()
        for stage in self.stages.stages:
            await self._add(stage)
        target = self._target()
        for state in list(self.states):
            assert state.stage is not None
            state.commands = [self._bind(one) for one in state.stage.commands]
        if len(self.states) == 1:
            self.states[0].shown = ""
        reachable = await self._resolve(target)
        context = await self.resolver.main_context()
        dispatcher = Dispatcher(self.options, self.globals, self.escape, context, self.lint)
        for state in self.states:
            if (state in reachable or self.options.all_stages) and not state.done:
                self._start(state)
                dispatcher.stage(state)
        return self._finish(target, reachable)

    # ---- global scope ----------------------------------------------------------------------------------------------------------

    def _word(self, text: str, env: Mapping[str, str], one: Instruction) -> Expanded:
        try:
            return expand(text, env, self.escape)
        except DockerfileError as exc:
            raise exc.at(one.start, one.end, one.name, parsing=False) from None

    def _global_args(self) -> None:
        for arg in self.stages.args:
            for key, default in arg.args:
                name = self._word(key, self.globals, arg).text
                value = self.options.build_args.get(name)
                if value is None and default is not None:
                    value = self._word(default, self.globals, arg).text
                if value is not None:
                    self.globals[name] = value

    def _check_defaults(self) -> None:
        """The check that defaults alone give every FROM a name."""
        env = dict(self.globals)
        declared: set[str] = set()
        for arg in self.stages.args:
            for key, default in arg.args:
                declared.add(key)
                if default is not None:
                    env[key] = self._word(default, env, arg).text
        known = {stage.name for stage in self.stages.stages}
        for stage in self.stages.stages:
            done = self._word(stage.head.base, env, stage.head)
            if not (done.used | done.missing) & declared or done.text in known:
                continue
            if not _names_image(done.text):
                self.lint.warn(
                    rules.INVALID_DEFAULT_ARG,
                    f"Default value for ARG {stage.head.base} results in empty or invalid base image name",
                    stage.head.start,
                    stage.head.end,
                    stage.head.comments,
                )

    def _undeclared(self, done: Expanded, stage: Stage) -> None:
        declared = {key for arg in self.stages.args for key, _ in arg.args}
        for name in sorted(done.missing - declared):
            near = hint(name, [*declared, *self.globals]).replace("mean ", "mean $")
            self.lint.warn(
                rules.UNDEFINED_ARG_IN_FROM,
                f"FROM argument '{name}' is not declared{near}",
                stage.head.start,
                stage.head.end,
                stage.head.comments,
            )

    # ---- stages ----------------------------------------------------------------------------------------------------------------

    async def _add(self, stage: Stage) -> None:
        head = stage.head
        base = self._word(head.base, self.globals, head)
        self._undeclared(base, stage)
        if not base.text:
            raise DockerfileError(f"base name ({head.base}) should not be blank", head.start, head.end, "FROM", parsing=False)
        state = StageState(base.text, stage, shown=stage.name or f"stage-{stage.index}", start=head.start, end=head.end)
        state.platform = self._platform(stage)
        state.show_platform = self.options.show_platform
        state.ignore_cache = self._ignores_cache(stage.name)
        if stage.name:
            context = await self.resolver.named_context(stage.name, state.platform)
            if context:
                self._replace(state, context)
        if not state.replaced:
            state.base = self.names.get(base.text.lower()) if base.text != SCRATCH else None
            own = (Run, Add, Copy, Workdir)
            state.total = sum(1 for one in stage.commands if isinstance(one, own)) + (base.text != SCRATCH and state.base is None)
        self.states.append(state)
        if stage.name:
            self.names[stage.name] = state

    def _replace(self, state: StageState, context: Source) -> None:
        state.tree, state.paths = context.tree, context.paths
        state.replaced = state.resolved = state.done = True
        platform = state.platform or self.options.platform
        state.image = ImageConfig(context.config, self.options.epoch) if context.config else ImageConfig.empty(platform, self.options.epoch)
        state.base_config = context.config
        state.platform = platform
        state.env = state.image.env

    def _platform(self, stage: Stage) -> Platform | None:
        head = stage.head
        if not head.platform:
            return None
        done = self._word(head.platform, self.globals, head)
        self._undeclared(done, stage)
        place = (head.start, head.end, head.comments)
        if done.text and head.platform in ("$TARGETPLATFORM", "${TARGETPLATFORM}"):
            self.lint.warn(
                rules.REDUNDANT_TARGET_PLATFORM,
                f"Setting platform to predefined {head.platform} in FROM is redundant as this is the default behavior",
                *place,
            )
        if not (done.used | done.missing) and not _names_platform(stage.name, done.text):
            self.lint.warn(
                rules.FROM_PLATFORM_CONST, f"FROM --platform flag should not use constant value {go_quote(head.platform)}", *place
            )
        if not done.text:
            reason = f"empty platform value from expression {head.platform}"
            near = next((found for name in sorted(done.missing) if (found := hint(name, self.globals))), "")
            raise DockerfileError(reason + near, head.start, head.end, "FROM", parsing=False)
        try:
            return platform_of(done.text)
        except InvalidArgument as exc:
            raise DockerfileError(
                f"failed to parse platform {head.platform}: {exc.message}", head.start, head.end, "FROM", parsing=False
            ) from None

    def _ignores_cache(self, name: str) -> bool:
        asked = self.options.no_cache
        return asked is not None and (not asked or name.lower() in {one.lower() for one in asked})

    def _target(self) -> StageState:
        name = self.options.target
        if not name:
            return self.states[-1]
        found = self.names.get(name.lower())
        if not found and name.isascii() and name.isdigit() and len(name) < 6 and int(name) < len(self.states):
            found = self.states[int(name)]
        if not found:
            raise DockerfileError(f'target stage "{name}" could not be found' + hint(name, self.names))
        return found

    def _bind(self, one: Instruction, trigger: bool = False) -> Bound:
        try:
            if isinstance(one, Copy) and one.from_:
                return Bound(one, (self._source(one.from_, one),), trigger)
            if isinstance(one, Run):
                return Bound(one, tuple(self._source(mount.from_, one) for mount in one.mounts), trigger)
        except DockerfileError as exc:
            raise exc.at(one.start, one.end, one.name, parsing=False) from None
        return Bound(one, (), trigger)

    def _source(self, name: str, one: Instruction) -> StageState | None:
        """The stage or image that a --from names; None without one, and for `scratch`, which is empty."""
        if not name:
            return None
        if expand(name, {}, self.escape).text != name:
            raise DockerfileError(
                "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround"
            )
        if isinstance(one, Copy) and name.isascii() and name.isdigit():
            if len(name) > 5 or int(name) >= len(self.states):
                raise DockerfileError(f"invalid stage index {name}")
            return self.states[int(name)]
        found = self.names.get(name.lower()) or self.images.get(name)
        if found:
            return found
        made = StageState(name, start=one.start, end=one.end, show_platform=self.options.show_platform)
        self.images[name] = made
        return made

    # ---- what stages stand on --------------------------------------------------------------------------------------------------

    async def _resolve(self, target: StageState) -> set[StageState]:
        """The stages that the target needs, each with its base looked up; ONBUILD triggers may make more of them needed."""
        for _ in range(MAX_TRIGGER_ROUNDS):
            reachable = self._reachable([target] if not self.options.all_stages else [*self.states])
            waiting = [state for state in reachable if state.base is None and not state.resolved]
            await self._lookups(waiting)
            if not self._triggers(reachable):
                return reachable
        raise DockerfileError("the ONBUILD triggers of the base images name each other without end")

    async def _lookups(self, states: list[StageState]) -> None:
        results = await asyncio.gather(*(self._base(state) for state in states), return_exceptions=True)
        failed = [one for one in results if isinstance(one, BaseException)]
        for one in failed:
            if not isinstance(one, ScowError):
                raise one
        if failed:
            raise failed[0]

    def _reachable(self, roots: list[StageState]) -> set[StageState]:
        found: set[StageState] = set()
        colour: dict[StageState, int] = {}
        stack: list[tuple[StageState, bool]] = [(root, False) for root in roots]
        while stack:
            state, left = stack.pop()
            if left:
                colour[state] = 2
                continue
            if state in colour:
                continue
            colour[state] = 1
            found.add(state)
            stack.append((state, True))
            needs = [source for bound in state.commands for source in bound.sources if source]
            for other in [*([state.base] if state.base else []), *needs]:
                if colour.get(other) == 1:
                    reason = f"circular dependency detected on stage: {other.shown or other.base_name}"
                    raise DockerfileError(reason, other.start, other.end, "FROM", parsing=False)
                stack.append((other, False))
        return found

    async def _base(self, state: StageState) -> None:
        state.resolved = True
        options = self.options
        platform = state.platform or options.platform
        if state.base_name == SCRATCH:
            state.platform, state.image = options.platform, ImageConfig.empty(options.platform, options.epoch)
            state.done = state.stage is None
            return
        try:
            await self._image(state, platform)
        except DockerfileError as exc:
            raise exc.at(state.start, state.end, "FROM", parsing=False) from None
        except ScowError as exc:
            text = exc.message if exc.message.startswith(state.base_name) else f"{state.base_name}: {exc.message}"
            error = DockerfileError(text + hint(state.base_name, self.names), state.start, state.end, "FROM", parsing=False)
            raise error from exc
        state.done = state.stage is None

    async def _image(self, state: StageState, platform: Platform) -> None:
        try:
            ref = Reference.parse(state.base_name)
        except BadReference as exc:
            raise DockerfileError(f"failed to parse stage name {go_quote(state.base_name)}: {exc.message}") from None
        familiar = ref.tagged().familiar().removesuffix(":latest")
        context = await self.resolver.named_context(familiar, platform)
        options = self.options
        state.platform = platform
        if context:
            state.tree, state.paths = context.tree, context.paths
            config = context.config
            state.base_config = config
            state.image = ImageConfig(config, options.epoch) if config else ImageConfig.empty(platform, options.epoch)
            return
        full = ref.tagged().full()
        lead = f"[{platform} internal]" if options.show_platform else "[internal]"
        name, config = await self.resolver.image_config(full, platform, f"{lead} load metadata for {full}")
        state.image = ImageConfig(config, options.epoch)
        state.base_config = config
        if _is_empty(config):
            return
        head = state.stage.head if state.stage else None
        text = head.text if head else ""
        state.tree = Tree(
            SourceOp(IMAGE + name),
            platform=platform,
            meta=state.meta(state.step(f"FROM {name}", platform), text),
            location=location(head) if head else None,
        )

    def _triggers(self, reachable: set[StageState]) -> bool:
        """Put the triggers of bases before the stages' own instructions; whether stages became needed by that."""
        more = False
        for state in reachable:
            if state.stage is None or state.started or state.replaced:
                continue
            state.started = True
            texts = list(state.image.config.get("OnBuild") or []) if state.base is None else []
            if state.base is not None and state.base.stage is not None:
                texts = [bound.one.expression for bound in state.base.commands if isinstance(bound.one, Onbuild)]
                texts += list(state.base.image.config.get("OnBuild") or []) if state.base.replaced else []
            if not texts:
                continue
            state.image.config.pop("OnBuild", None)
            try:
                found = [self._bind(_at(one, state), True) for one in stagelib.triggers(texts, self.escape)]
            except DockerfileError as exc:
                raise exc.at(state.start, state.end, "FROM", parsing=False) from None
            more = more or any(source for bound in found for source in bound.sources)
            state.commands = [*found, *state.commands]
            state.total += len(found)
        return more

    def _start(self, state: StageState) -> None:
        """Take over what the base gives."""
        base = state.base
        if base is not None:
            state.tree, state.platform, state.image = base.tree, base.platform, base.image.copy()
            state.base_config, state.paths, state.workdir_set = base.base_config, base.paths, base.workdir_set
            state.env, state.args, state.declared = dict(base.env), list(base.args), set(base.declared)
        if state.platform is None:
            state.platform = self.options.platform
        if "PATH" not in state.image.env:
            state.image.set_env("PATH", DEFAULT_PATH)
        state.env.update(state.image.env)

    # ---- the result ------------------------------------------------------------------------------------------------------------

    def _finish(self, target: StageState, reachable: set[StageState]) -> Converted:
        target.paths.add("/")
        if self.options.labels:
            labels = dict(target.image.config.get("Labels") or {})
            target.image.config["Labels"] = labels | dict(self.options.labels)
        target.image.set_platform(self.options.platform, self.options.explicit_platform)
        builder = Builder()
        root = emit(target.tree, builder)
        info = SourceInfo(self.options.filename, self.document.text.encode())
        used = tuple(state.shown for state in self.states if state in reachable)
        base_config = target.base_config
        return Converted(
            builder.definition(root, (info,)),
            target.image.finished(),
            base_config if isinstance(base_config, dict) else None,
            target.stage.name if target.stage else "",
            used,
        )


def _at(one: Instruction, state: StageState) -> Instruction:
    """A trigger, as if it stood where the FROM stands."""
    return replace(one, start=state.start, end=state.end)


def _names_image(text: str) -> bool:
    if text == SCRATCH:
        return True
    try:
        Reference.parse(text)
    except (BadReference, InvalidArgument):
        return False
    return bool(text)


def _names_platform(stage: str, platform: str) -> bool:
    """Whether a stage's name says which platform it is for (`build-amd64`, `linux`), which makes a constant sensible."""
    return any(part and part in stage for part in platform.lower().split("/"))


def _is_empty(config: Mapping[str, Any]) -> bool:
    rootfs = config.get("rootfs")
    layers = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    history = config.get("history") or []
    return not layers and all(isinstance(row, dict) and row.get("empty_layer") for row in history)
