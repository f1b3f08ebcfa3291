"""What every instruction does to its stage: to the tree (RUN, COPY, ADD, WORKDIR), to the image's config and history, to the variables."""

from collections.abc import Mapping

from scow.build.dockerfile import imageconfig
from scow.build.dockerfile.copies import convert_copy, owner_of
from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from scow.build.dockerfile.linter import instruction as checks
from scow.build.dockerfile.linter import rules
from scow.build.dockerfile.linter.lint import Lint
from scow.build.dockerfile.options import PROXY_ARGS, Options, Source
from scow.build.dockerfile.runs import convert_run
from scow.build.dockerfile.scope import WordExpander
from scow.build.dockerfile.state import Bound, StageState, location
from scow.build.dockerfile.tree import Tree
from scow.build.llb.ops import EMPTY, FileAction, FileOp, Mkdir
from scow.errors import InvalidArgument
from scow.gotemplate.values import go_quote
from scow.opts.ignore import Ignore


class Dispatcher:
    """Converts the stages of one file, one after the other."""

    def __init__(self, options: Options, global_args: Mapping[str, str], escape: str, context: Source, lint: Lint) -> None:
        self.options, self.globals, self.escape, self.context, self.lint = options, global_args, escape, context, lint
        try:
            self.ignore = Ignore(options.excludes) if options.excludes else None
        except InvalidArgument as exc:
            raise DockerfileError(exc.message) from None
        self.table = {
            Add: self.add,
            Arg: self.arg,
            Cmd: self.cmd,
            Copy: self.copy,
            Entrypoint: self.entrypoint,
            Env: self.env,
            Expose: self.expose,
            Healthcheck: self.healthcheck,
            Label: self.label,
            Maintainer: self.maintainer,
            Onbuild: self.onbuild,
            Run: self.run,
            Shell: self.shell,
            StopSignal: self.stopsignal,
            User: self.user,
            Volume: self.volume,
            Workdir: self.workdir,
        }

    def stage(self, state: StageState) -> None:
        """All instructions of a stage. Raises DockerfileError with the instruction's place."""
        state.done = True
        for bound in state.commands:
            one = bound.one
            try:
                self._instruction(state, bound)
            except DockerfileError as exc:
                raise exc.at(one.start, one.end, one.name, parsing=False) from None

    def _expander(self, state: StageState, one: Instruction) -> WordExpander:
        known = [*self.globals, *state.env]
        return WordExpander(state.env, self.escape, checks.undefined(one, known, state.declared | PROXY_ARGS, self.lint))

    def _instruction(self, state: StageState, bound: Bound) -> None:
        one = bound.one
        state.trigger = bound.trigger
        checks.check_instruction(one, bool(state.image.config.get("Shell")), state.seen, self.lint)
        if not isinstance(one, Arg):
            one = one.expanded(self._expander(state, one))
        self.table[type(one)](state, Bound(one, bound.sources, bound.trigger))

    # ---- trees -----------------------------------------------------------------------------------------------------------------

    def run(self, state: StageState, bound: Bound) -> None:
        assert isinstance(bound.one, Run)
        convert_run(state, bound.one, bound.sources, self.context, self.options, self.escape)

    def copy(self, state: StageState, bound: Bound) -> None:
        one = bound.one
        assert isinstance(one, Copy)
        source = bound.sources[0] if bound.sources else None
        if source is not None and not source.done:
            raise DockerfileError(f'cannot copy from stage "{one.from_}", it needs to be defined before current stage "{state.shown}"')
        if source is not None and one.from_:
            source.paths.update(convert_copy(state, one, source.tree, self.escape, self.options.epoch))
            return
        for text in one.sources:
            checks.check_copied(one, text, self.ignore, self.lint)
        self.context.paths.update(convert_copy(state, one, self.context.tree, self.escape, self.options.epoch))

    def add(self, state: StageState, bound: Bound) -> None:
        one = bound.one
        assert isinstance(one, Add)
        for text in one.sources:
            if "://" not in text:
                checks.check_copied(one, text, self.ignore, self.lint)
        self.context.paths.update(convert_copy(state, one, self.context.tree, self.escape, self.options.epoch))

    def workdir(self, state: StageState, bound: Bound) -> None:
        one = bound.one
        assert isinstance(one, Workdir)
        if not state.workdir_set and not one.path.startswith("/"):
            self.lint.warn(
                rules.WORKDIR_RELATIVE_PATH,
                f"Relative workdir {go_quote(one.path)} can have unexpected results if the base image changes",
                *checks.place(one),
            )
        state.workdir_set = True
        state.image.apply(one)
        path = state.cwd
        if path != "/":
            owner = owner_of(str(state.image.config.get("User") or ""))
            timestamp = EMPTY if self.options.epoch is None else self.options.epoch * 1_000_000_000
            made = Mkdir(path, 0o755, make_parents=True, owner=owner, timestamp=timestamp)
            has_base = state.tree is not None
            state.tree = Tree(
                FileOp((FileAction(made, input=0 if has_base else EMPTY, output=0),)),
                (state.tree,) if state.tree is not None else (),
                platform=state.platform,
                meta=state.meta(state.step(state.title(one.text, self.escape)), one.text),
                location=location(one),
            )
        state.image.commit(f"WORKDIR {path}", layer=path != "/")

    # ---- variables -------------------------------------------------------------------------------------------------------------

    def arg(self, state: StageState, bound: Bound) -> None:
        one = bound.one
        assert isinstance(one, Arg)
        shown = []
        to = self._expander(state, one)
        for key, default in one.args:
            name = to.word(key)
            value = self.options.build_args.get(name)
            if value is None:
                value = self.globals.get(name) if default is None else to.word(default)
            state.args.append((name, value))
            state.declared.add(name)
            if value is not None and name not in PROXY_ARGS:
                state.env[name] = value
            shown.append(name if value is None else f"{name}={value}")
        state.image.commit("ARG " + " ".join(shown))

    def env(self, state: StageState, bound: Bound) -> None:
        assert isinstance(bound.one, Env)
        for key, value in bound.one.pairs:
            if not key:
                raise DockerfileError("ENV names can not be blank")
            state.env[key] = value
        state.image.apply(bound.one)
        state.image.commit("ENV " + " ".join(f"{key}={value}" for key, value in bound.one.pairs))

    # ---- config ----------------------------------------------------------------------------------------------------------------

    def label(self, state: StageState, bound: Bound) -> None:
        assert isinstance(bound.one, Label)
        state.image.apply(bound.one)
        state.image.commit("LABEL " + " ".join(f"{key}={value}" for key, value in bound.one.pairs))

    def maintainer(self, state: StageState, bound: Bound) -> None:
        assert isinstance(bound.one, Maintainer)
        state.image.data["author"] = bound.one.author
        state.image.commit(f"MAINTAINER {bound.one.author}")

    def cmd(self, state: StageState, bound: Bound) -> None:
        one = bound.one
        assert isinstance(one, Cmd)
        state.image.apply(one)
        state.image.config["ArgsEscaped"] = True
        state.cmd_set = True
        state.image.commit(f"CMD {imageconfig.words(state.image.config['Cmd'])}")

    def entrypoint(self, state: StageState, bound: Bound) -> None:
        one = bound.one
        assert isinstance(one, Entrypoint)
        state.image.apply(one, state.cmd_set)
        state.image.commit(f"ENTRYPOINT {imageconfig.words(state.image.config['Entrypoint'] or [])}")

    def healthcheck(self, state: StageState, bound: Bound) -> None:
        one = bound.one
        assert isinstance(one, Healthcheck)
        state.image.apply(one)
        state.image.commit(f"HEALTHCHECK {imageconfig.health_text(state.image.config['Healthcheck'])}")

    def expose(self, state: StageState, bound: Bound) -> None:
        one = bound.one
        assert isinstance(one, Expose)
        checks.check_expose(one, self.lint)
        state.image.apply(one)
        state.image.commit("EXPOSE map[" + " ".join(f"{port}:{{}}" for port in sorted(set(one.exposed()))) + "]")

    def user(self, state: StageState, bound: Bound) -> None:
        assert isinstance(bound.one, User)
        state.image.apply(bound.one)
        state.image.commit(f"USER {bound.one.user}")

    def volume(self, state: StageState, bound: Bound) -> None:
        one = bound.one
        assert isinstance(one, Volume)
        if not all(one.paths):
            raise DockerfileError("VOLUME specified can not be an empty string")
        state.image.apply(one)
        state.image.commit(f"VOLUME [{' '.join(one.paths)}]")

    def stopsignal(self, state: StageState, bound: Bound) -> None:
        assert isinstance(bound.one, StopSignal)
        state.image.apply(bound.one)
        state.image.commit(f"STOPSIGNAL {bound.one.signal}")

    def shell(self, state: StageState, bound: Bound) -> None:
        assert isinstance(bound.one, Shell)
        state.image.apply(bound.one)
        state.image.commit(f"SHELL [{' '.join(bound.one.shell)}]")

    def onbuild(self, state: StageState, bound: Bound) -> None:
        assert isinstance(bound.one, Onbuild)
        state.image.apply(bound.one)
