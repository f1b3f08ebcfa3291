"""`dockerfile.v0` (and `gateway.v0` naming it): options → graphs and image configs, or an answer to a question about the file."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from scow.build.dockerfile import parser, stages
from scow.build.dockerfile.convert import to_llb
from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.linter.document import check_document, check_stages
from scow.build.dockerfile.linter.lint import Finding, Lint, LintConfig
from scow.build.dockerfile.options import Converted, Options
from scow.build.dockerfile.parser import Document
from scow.build.frontend import subrequests
from scow.build.frontend.attrs import Asked, check_syntax, read
from scow.build.frontend.contexts import Contexts, Resolver
from scow.build.llb.ops import Location, Platform, Range, SourceInfo
from scow.build.session.builds import Answer
from scow.build.session.engine import Engine, FrontendRequest
from scow.build.solver.types import BuildError, VertexWarning
from scow.errors import ScowError, Unsupported
from scow.images.platforms import host_platform, normal


async def run(request: FrontendRequest, engine: Engine) -> Answer:
    """Serve one request of a client. Raises BuildError with the place in the Dockerfile, or what contexts and images raise."""
    if request.frontend not in ("dockerfile.v0", "gateway.v0"):
        raise Unsupported(f'failed to solve: unknown frontend "{request.frontend}": this engine has dockerfile.v0')
    if request.frontend == "gateway.v0":
        check_syntax(request.options.get("source", ""))
    asked = read(request.options)
    if asked.request == subrequests.DESCRIBE:
        return subrequests.describe()
    if asked.syntax:
        check_syntax(asked.syntax)
    contexts = Contexts(asked, request.build, engine, request.inputs or request.build.inputs)
    data = await contexts.dockerfile()
    info = SourceInfo(contexts.filename, data)
    async with _placed(info):
        return await _Frontend(asked, contexts, request, info).answer(data)


@asynccontextmanager
async def _placed(info: SourceInfo) -> AsyncIterator[None]:
    """Errors of the file carry it, so that clients show the lines."""
    try:
        yield
    except DockerfileError as exc:
        places = (Location(0, (Range(exc.start, exc.end),)),) if exc.start else ()
        raise BuildError(exc.message, infos=(info,), locations=places, reason=exc.__cause__ or exc) from exc


class _Frontend:
    def __init__(self, asked: Asked, contexts: Contexts, request: FrontendRequest, info: SourceInfo) -> None:
        self.asked, self.contexts, self.request, self.info = asked, contexts, request, info
        found = normal(host_platform())
        self.host = Platform(found.os, found.architecture, found.variant)

    async def answer(self, data: bytes) -> Answer:
        syntax = parser.syntax(data)
        if syntax and not self.asked.syntax and self.request.frontend != "gateway.v0":
            try:
                check_syntax(syntax.value)
            except Unsupported as exc:
                raise DockerfileError(exc.message, syntax.line, syntax.line, parsing=False) from None
        document = parser.parse(data)
        read_stages = stages.read(document)
        if self.asked.request == subrequests.TARGETS:
            return subrequests.targets(read_stages, self.info, self.asked.target)
        await self.contexts.load_ignore()
        lint = Lint(self._lint_config(document))
        check_document(document, lint)
        check_stages(read_stages, lint)
        if self.asked.request == subrequests.LINT:
            return await self._check(document, read_stages, lint)
        if self.asked.request == subrequests.OUTLINE:
            return await subrequests.outline(
                document, read_stages, self._options(self._platforms()[0], False), Resolver(self.contexts), self.info
            )
        if self.asked.request:
            raise Unsupported(f"subrequest {self.asked.request} is not supported by this frontend")
        return await self._build(document, read_stages, lint)

    def _platforms(self) -> tuple[Platform, ...]:
        return self.asked.platforms or (self.host,)

    def _lint_config(self, document: Document) -> LintConfig:
        directive = document.directives.get("check")
        if not directive:
            return self.asked.lint
        try:
            return LintConfig.parse(directive.value).merged(self.asked.lint)
        except DockerfileError as exc:
            raise exc.at(directive.line, directive.line, "", parsing=False) from None

    def _options(self, platform: Platform, all_stages: bool) -> Options:
        asked = self.asked
        return Options(
            target=asked.target,
            build_args=asked.build_args,
            labels=asked.labels,
            platform=platform,
            build_platform=self.host,
            explicit_platform=bool(asked.platforms),
            show_platform=asked.multi,
            no_cache=asked.no_cache,
            cache_namespace=asked.cache_namespace,
            hostname=asked.hostname,
            network=asked.network,
            extra_hosts=asked.extra_hosts,
            shm_size=asked.shm_size,
            ulimits=asked.ulimits,
            cgroup_parent=asked.cgroup_parent,
            epoch=asked.epoch,
            filename=self.contexts.filename,
            excludes=self.contexts.excludes,
            all_stages=all_stages,
        )

    async def _check(self, document: Document, read_stages: stages.Stages, lint: Lint) -> Answer:
        """`--check`: every stage is converted, nothing is run."""
        failed: ScowError | None = None
        try:
            await to_llb(document, read_stages, self._options(self._platforms()[0], True), Resolver(self.contexts), lint)
        except ScowError as exc:
            failed = exc
        return subrequests.lint(lint, self.info, failed)

    async def _build(self, document: Document, read_stages: stages.Stages, lint: Lint) -> Answer:
        made: list[tuple[str, Platform, Converted]] = []
        for index, platform in enumerate(self._platforms()):
            resolver = Resolver(self.contexts)
            found = await to_llb(document, read_stages, self._options(platform, False), resolver, lint if index == 0 else Lint())
            made.append((str(platform), platform, found))
        for finding in lint.findings:
            self._warn(finding)
        lint.refuse()
        names = [(name, _final(platform, found)) for name, platform, found in made]
        platforms = {"Platforms": [{"ID": name, "Platform": _wire(platform)} for name, platform in names]}
        metadata = {"refs.platforms": json.dumps(platforms, separators=(",", ":")).encode()}
        references = {}
        for name, _, found in made:
            suffix = f"/{name}" if self.asked.multi else ""
            metadata[f"containerimage.config{suffix}"] = json.dumps(found.config, separators=(",", ":")).encode()
            if found.base_config is not None:
                metadata[f"containerimage.base.config{suffix}"] = json.dumps(found.base_config, separators=(",", ":")).encode()
            key = name if self.asked.multi else ""
            references[key] = self.request.build.reference(found.definition) if found.definition.root else None
        if self.asked.epoch is not None:
            metadata["source.date.epoch"] = str(self.asked.epoch).encode()
        return Answer(references, metadata)

    def _warn(self, finding: Finding) -> None:
        text = f"{finding.rule.name}: {finding.message}" + (f" (line {finding.start})" if finding.start else "")
        place = Location(0, (Range(finding.start, finding.end),)) if finding.start else None
        warning = VertexWarning(self.contexts.head, 1, text, (finding.rule.description,), finding.rule.url, self.info, place)
        self.request.build.job.progress.tell(warning)


def _final(platform: Platform, found: Converted) -> Platform:
    """The platform that a result's config says."""
    config = found.config
    return Platform(
        str(config.get("os") or platform.os), str(config.get("architecture") or platform.architecture), str(config.get("variant") or "")
    )


def _wire(platform: Platform) -> dict[str, str]:
    found = {"architecture": platform.architecture, "os": platform.os}
    if platform.variant:
        found["variant"] = platform.variant
    return found
