"""Every build check: what sets it off, and what doesn't."""

import pytest

from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.linter.lint import Finding, Lint, LintConfig
from scow.build.dockerfile.linter.rules import BY_NAME, RULES
from tests.unit.build.dockerfile.kit import findings

FOUND = [
    ("FROM a AS Upper\n", "StageNameCasing", 1, "Stage name 'Upper' should be lowercase"),
    ("FROM a as b\n", "FromAsCasing", 1, "'as' and 'FROM' keywords' casing do not match"),
    ("FROM a\nRUN x \\\n\n y\n", "NoEmptyContinuation", 4, "Empty continuation line"),
    ("FROM a\nRUN x\nrun y\n", "ConsistentInstructionCasing", 3, "Command 'run' should match the case of the command majority (uppercase)"),
    ("from a\nrun x\nRUN y\n", "ConsistentInstructionCasing", 3, "Command 'RUN' should match the case of the command majority (lowercase)"),
    ("FROM a AS x\nFROM b AS x\n", "DuplicateStageName", 2, 'Duplicate stage name "x", stage names should be unique'),
    ("FROM a AS scratch\n", "ReservedStageName", 1, 'Stage name should not use the same name as reserved stage "scratch"'),
    (
        "FROM a\nCMD x y\n",
        "JSONArgsRecommended",
        2,
        "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals",
    ),
    ("FROM a\nMAINTAINER m\n", "MaintainerDeprecated", 2, "Maintainer instruction is deprecated in favor of using label"),
    ("ARG TAG=1\nFROM a:${TGA}x\n", "UndefinedArgInFrom", 2, "FROM argument 'TGA' is not declared (did you mean $TAG?)"),
    (
        "FROM a\nWORKDIR sub\nWORKDIR sub\n",
        "WorkdirRelativePath",
        2,
        'Relative workdir "sub" can have unexpected results if the base image changes',
    ),
    ("FROM a\nENV FOO=1\nCOPY $FOOO /\n", "UndefinedVar", 3, "Usage of undefined variable '$FOOO' (did you mean $FOO?)"),
    (
        'FROM a\nCMD ["x"]\nCMD ["y"]\n',
        "MultipleInstructionsDisallowed",
        2,
        "Multiple CMD instructions should not be used in the same stage because only the last one will be used",
    ),
    ("FROM a\nENV k v\n", "LegacyKeyValueFormat", 2, '"ENV key=value" should be used instead of legacy "ENV key value" format'),
    (
        "FROM --platform=$TARGETPLATFORM a\n",
        "RedundantTargetPlatform",
        1,
        "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    ),
    ("FROM a\nARG API_KEY\n", "SecretsUsedInArgOrEnv", 2, 'Do not use ARG or ENV instructions for sensitive data (ARG "API_KEY")'),
    ("ARG T\nFROM a:${T}\n", "InvalidDefaultArgInFrom", 2, "Default value for ARG a:${T} results in empty or invalid base image name"),
    (
        "FROM --platform=linux/arm64 a AS b\n",
        "FromPlatformFlagConstDisallowed",
        1,
        'FROM --platform flag should not use constant value "linux/arm64"',
    ),
    ("FROM a\nCOPY secret /\n", "CopyIgnoredFile", 2, 'Attempting to Copy file "secret" that is excluded by .dockerignore'),
    ("FROM a\nADD d/secret /\n", "CopyIgnoredFile", 2, 'Attempting to Add file "d/secret" that is excluded by .dockerignore'),
    ("FROM a\nEXPOSE 80/TcP\n", "ExposeProtoCasing", 2, "Defined protocol '80/TcP' in EXPOSE instruction should be lowercase"),
    (
        "FROM a\nEXPOSE 127.0.0.1:80:80\n",
        "ExposeInvalidFormat",
        2,
        "EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80'",
    ),
]
CLEAN = [
    "FROM a AS b\nFROM b\n",
    "from a as b\nrun x\n",
    'FROM a\nSHELL ["/bin/bash", "-c"]\nCMD x\nENTRYPOINT y\n',
    "ARG T=1\nFROM a:$T\nARG T\nRUN x $UNKNOWN\nLABEL l=$T p=$PATH q=${Q:-d}\n",
    "FROM a\nWORKDIR /x\nWORKDIR sub\n",
    "FROM --platform=$BUILDPLATFORM a\nFROM --platform=linux/arm64 a AS b-arm64\n",
    "FROM a\nENV PUBLIC_KEY=1 KEYBOARD=2\n",
    "FROM a\nARG http_proxy\nENV P=$http_proxy\n",
    "FROM a\nCOPY other /\nCOPY --from=x secret /\n",
    "FROM a\nEXPOSE 80 90/tcp 100-101/udp\n",
]


@pytest.mark.parametrize(("text", "rule", "line", "message"), FOUND)
def test_found(text: str, rule: str, line: int, message: str) -> None:
    assert (rule, line, message) in findings(text, excludes=("secret", "**/secret"))


@pytest.mark.parametrize("text", CLEAN)
def test_clean(text: str) -> None:
    assert findings(text, excludes=("secret",)) == []


def test_experimental_checks_must_be_asked_for() -> None:
    text = "# nothing about it\nFROM a AS stage\n"
    assert findings(text) == []
    assert [rule for rule, _, _ in findings(text, "experimental=all")] == ["InvalidDefinitionDescription"]
    assert findings("# stage is this\nFROM a AS stage\n", "experimental=InvalidDefinitionDescription") == []


def test_skipped_by_the_file_and_above_an_instruction() -> None:
    text = "FROM a\nMAINTAINER m\nENV k v\n"
    assert [rule for rule, _, _ in findings(text, "skip=MaintainerDeprecated")] == ["LegacyKeyValueFormat"]
    assert findings(text, "skip=all") == []
    above = "FROM a\n# check=skip=MaintainerDeprecated // it must stay\nMAINTAINER m\nENV k v\n"
    assert [rule for rule, _, _ in findings(above)] == ["LegacyKeyValueFormat"]


def test_findings_as_errors() -> None:
    lint = Lint(LintConfig.parse("error=true"))
    lint.refuse()
    for name in ("MaintainerDeprecated", "LegacyKeyValueFormat"):
        lint.warn(BY_NAME[name], "m", 1, 1)
    with pytest.raises(DockerfileError, match="lint violation found for rules: LegacyKeyValueFormat, MaintainerDeprecated"):
        lint.refuse()
    assert lint.findings[0] == Finding(BY_NAME["MaintainerDeprecated"], "m", 1, 1)


@pytest.mark.parametrize("text", ["skip", "nope=1", "error=maybe"])
def test_options_that_are_none(text: str) -> None:
    with pytest.raises(DockerfileError):
        LintConfig.parse(text)


def test_every_check_of_the_reference_is_there() -> None:
    assert len(RULES) == 21 and {rule for _, rule, _, _ in FOUND} | {"InvalidDefinitionDescription"} == {rule.name for rule in RULES}
    assert BY_NAME["JSONArgsRecommended"].url == "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/"
