"""Build checks: what a Dockerfile is told about that builds all the same."""

from __future__ import annotations

from typing import Any

import pytest

from minidock.core.config import ContainerConfig, ImageConfig
from minidock.core.dockerfile import instructions, parser, stage_needs, stage_plan, stages
from minidock.core.dockerfile.checks.check import Checked, check, options_of
from minidock.core.dockerfile.checks.options import BadOptions, CheckOptions
from minidock.core.dockerfile.checks.rule import Rule
from minidock.core.dockerfile.ignore import IgnoreRules
from minidock.errors import DockerfileError
from tests import vectors

PREDEFINED = {
    f"{side}{name}": value
    for side in ("TARGET", "BUILD")
    for name, value in (("PLATFORM", "linux/amd64"), ("OS", "linux"), ("ARCH", "amd64"), ("VARIANT", ""))
}


def checked(
    text: str,
    *,
    ignore: str | None = None,
    build_args: dict[str, str] | None = None,
    base: ImageConfig | None = None,
    looks_at_all: bool = False,
) -> Checked:
    """Return what is found when ``text`` is built, or only looked at."""
    args = build_args or {}
    dockerfile = parser.parse(text.encode())
    options = options_of(dockerfile, args)
    items = instructions.read(dockerfile)
    plan = stages.split(dockerfile, items, args, PREDEFINED)
    wanted = (
        range(len(plan.stages)) if looks_at_all else stage_needs.needed(plan, stage_plan.resolve_target(plan, None))
    )
    rules = None if ignore is None else IgnoreRules.parse(ignore)
    return check(
        plan, items, wanted, options, build_args=args, predefined=PREDEFINED, ignore=rules, base_of=lambda name: base
    )


def found(text: str, **more: Any) -> list[tuple[str, int, str]]:
    """Return (rule, line, detail) of all findings, by line and detail."""
    findings = sorted(checked(text, **more).findings, key=lambda item: (item.first, item.detail))
    return [(item.rule.name, item.first, item.detail) for item in findings]


# The lines that upstream's table gives for these are not looked at by upstream's own test.
_WRONG_LINES = {"lint-072": {3: 5, 4: 6}}
_NO_PLAN = {"lint-056"}


def _expected(case: dict[str, Any], key: str) -> list[tuple[str, int, str]]:
    lines = _WRONG_LINES.get(case["id"], {})
    return [(item["rule"], lines.get(item["line"], item["line"]), item["detail"]) for item in case[key]]


@pytest.mark.parametrize("case", vectors.params("lint"))
def test_buildkits_own_cases_give_its_findings(case: dict[str, Any]) -> None:
    args = {name.removeprefix("build-arg:"): value for name, value in case.get("frontend_attrs", {}).items()}
    more = {"ignore": case.get("dockerignore"), "build_args": args}
    if case["id"] in _NO_PLAN:
        with pytest.raises(DockerfileError, match="failed to parse platform"):
            checked(case["dockerfile"], **more)
        return
    assert found(case["dockerfile"], **more) == _expected(case, "warnings")
    whole = _expected(case, "warnings_check_mode" if "warnings_check_mode" in case else "warnings")
    assert found(case["dockerfile"], looks_at_all=True, **more) == whole
    problem = checked(case["dockerfile"], **more).problem(parser.parse(case["dockerfile"].encode()))
    if "error_contains" in case:
        assert (str(problem), problem.first if problem else 0) == (case["error_contains"], case["error_line"])
    else:
        assert problem is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM scratch AS Base\n", [("StageNameCasing", 1, "Stage name 'Base' should be lowercase")]),
        ("FROM scratch as base\n", [("FromAsCasing", 1, "'as' and 'FROM' keywords' casing do not match")]),
        (
            "FROM scratch\nENV \\\n\n  A=1\n",
            [("NoEmptyContinuation", 4, "Empty continuation line")],
        ),
        (
            "FROM scratch\nenv A=1\nEnv B=1\nLABEL c=d\n",
            [
                (
                    "ConsistentInstructionCasing",
                    2,
                    "Command 'env' should match the case of the command majority (uppercase)",
                ),
                (
                    "ConsistentInstructionCasing",
                    3,
                    "Command 'Env' should match the case of the command majority (uppercase)",
                ),
            ],
        ),
        (
            "FROM scratch AS x\nFROM scratch AS x\n",
            [("DuplicateStageName", 2, 'Duplicate stage name "x", stage names should be unique')],
        ),
        (
            "FROM scratch AS context\n",
            [
                (
                    "ReservedStageName",
                    1,
                    'Stage name should not use the same name as reserved stage "context"',
                )
            ],
        ),
        (
            "FROM scratch\nMAINTAINER me\n",
            [("MaintainerDeprecated", 2, "Maintainer instruction is deprecated in favor of using label")],
        ),
        (
            "ARG VERSION=1\nFROM scratch${VERSON:+x}\n",
            [("UndefinedArgInFrom", 2, "FROM argument 'VERSON' is not declared (did you mean VERSION?)")],
        ),
        ("ARG DECLARED\nFROM scratch$DECLARED\n", []),
        (
            "FROM --platform=${TARGETPLATFORM} scratch\n",
            [
                (
                    "RedundantTargetPlatform",
                    1,
                    "Setting platform to predefined ${TARGETPLATFORM} in FROM is redundant as this is the default "
                    "behavior",
                )
            ],
        ),
        (
            "FROM --platform=linux/arm64 scratch AS x\n",
            [
                (
                    "FromPlatformFlagConstDisallowed",
                    1,
                    'FROM --platform flag should not use constant value "linux/arm64"',
                )
            ],
        ),
        ("FROM --platform=$BUILDPLATFORM scratch\n", []),
        ("FROM scratch\nENV A=$BUILDKIT_SBOM_SCAN_CONTEXT\n", []),
        (
            "FROM scratch\nENV A=$B PATH=$PAHT:/x C=${A}\nARG D\nUSER $D\nEXPOSE $E\n",
            [
                ("UndefinedVar", 2, "Usage of undefined variable '$A'"),
                ("UndefinedVar", 2, "Usage of undefined variable '$B'"),
                ("UndefinedVar", 2, "Usage of undefined variable '$PAHT' (did you mean $PATH?)"),
            ],
        ),
        (
            "FROM scratch AS a\nARG V=1\nFROM a\nWORKDIR /$V$W\n",
            [("UndefinedVar", 4, "Usage of undefined variable '$W' (did you mean $V?)")],
        ),
        (
            'FROM scratch\nWORKDIR a\nWORKDIR b\nCMD ["x"]\n',
            [
                (
                    "WorkdirRelativePath",
                    2,
                    'Relative workdir "a" can have unexpected results if the base image changes',
                )
            ],
        ),
        (
            'FROM scratch\nCMD ["a"]\nHEALTHCHECK NONE\nCMD ["b"]\nHEALTHCHECK NONE\n',
            [
                (
                    "MultipleInstructionsDisallowed",
                    2,
                    "Multiple CMD instructions should not be used in the same stage because only the last one will "
                    "be used",
                ),
                (
                    "MultipleInstructionsDisallowed",
                    3,
                    "Multiple HEALTHCHECK instructions should not be used in the same stage because only the last "
                    "one will be used",
                ),
            ],
        ),
        (
            "FROM scratch\nCMD a\n",
            [
                (
                    "JSONArgsRecommended",
                    2,
                    "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals",
                )
            ],
        ),
        ('FROM scratch\nSHELL ["x"]\nCMD a\n', []),
        (
            "FROM scratch\nENV a b\n",
            [
                (
                    "LegacyKeyValueFormat",
                    2,
                    '"ENV key=value" should be used instead of legacy "ENV key value" format',
                )
            ],
        ),
        (
            "FROM scratch\nARG API_KEY PUBLIC_KEY\nENV auth_x=1 MONKEY=2 TOKEN_FILE=/f\n",
            [
                (
                    "SecretsUsedInArgOrEnv",
                    2,
                    'Do not use ARG or ENV instructions for sensitive data (ARG "API_KEY")',
                ),
                (
                    "SecretsUsedInArgOrEnv",
                    3,
                    'Do not use ARG or ENV instructions for sensitive data (ENV "auth_x")',
                ),
            ],
        ),
        (
            "ARG TAG\nFROM base:$TAG\n",
            [
                (
                    "InvalidDefaultArgInFrom",
                    2,
                    "Default value for ARG base:$TAG results in empty or invalid base image name",
                )
            ],
        ),
        (
            "FROM scratch\nEXPOSE 80/TCP 1.2.3.4:81:82 83:84/udp\n",
            [
                (
                    "ExposeProtoCasing",
                    2,
                    "Defined protocol '80/TCP' in EXPOSE instruction should be lowercase",
                ),
                (
                    "ExposeInvalidFormat",
                    2,
                    "EXPOSE instruction should not define an IP address or host-port mapping, found '1.2.3.4:81:82'",
                ),
                (
                    "ExposeInvalidFormat",
                    2,
                    "EXPOSE instruction should not define an IP address or host-port mapping, found '83:84/udp'",
                ),
            ],
        ),
        ("# about it\nFROM scratch AS x\n", []),
        (
            "# check=experimental=InvalidDefinitionDescription\n\n# about it\nFROM scratch AS x\n# y is\nARG y\n"
            "# no\nARG a b\n",
            [
                ("InvalidDefinitionDescription", 4, "Comment for FROM should follow the format: `# x <description>`"),
                (
                    "InvalidDefinitionDescription",
                    8,
                    "Comment for ARG should follow the format: `# <arg_key> <description>`",
                ),
            ],
        ),
    ],
)
def test_each_rule_finds_what_it_is_for(text: str, expected: list[tuple[str, int, str]]) -> None:
    args = {"TAG": "1"} if "$TAG" in text else {}
    assert found(text, build_args=args) == expected


@pytest.mark.parametrize(
    ("ignore", "text", "expected"),
    [
        ("secret\n", "COPY secret ./a /x/\nADD secret/b /x/\n", [(2, "Copy", "secret"), (3, "Add", "secret/b")]),
        ("*\n!a\n", "COPY b /\n", []),
        ("**\n", "COPY . /\n", [(2, "Copy", ".")]),
        ("a\n", "COPY . /\n", []),
        ("a\n", "COPY --from=img a /\n", []),
        ("**\n", "ADD https://a/b git@c:d.git https://e/f.git#main /x/\n", []),
        (None, "COPY a /\n", []),
    ],
)
def test_sources_that_are_ignored_are_named(
    ignore: str | None, text: str, expected: list[tuple[int, str, str]]
) -> None:
    assert found(f"FROM scratch\n{text}", ignore=ignore) == [
        ("CopyIgnoredFile", line, f'Attempting to {command} file "{name}" that is excluded by .dockerignore')
        for line, command, name in expected
    ]


def test_a_base_image_brings_its_variables_its_shell_and_its_platform() -> None:
    config = ContainerConfig(env=("HOME_DIR=/srv",), shell=("/bin/bash", "-c"))
    base = ImageConfig(architecture="arm64", os="linux", config=config)
    assert (
        found("FROM base\nWORKDIR $HOME_DIR\nCMD run\n", base=base)
        == [
            (
                "InvalidBaseImagePlatform",
                1,
                'Base image base was pulled with platform "linux/arm64", expected "linux/amd64" for current build',
            ),
            (
                "WorkdirRelativePath",
                2,
                'Relative workdir "/srv" can have unexpected results if the base image changes',
            ),
        ][:1]
    )


def test_platforms_that_differ_are_named_whole() -> None:
    base = ImageConfig(architecture="arm", os="linux", variant="v6")
    finding = checked("FROM --platform=$BUILDPLATFORM base\n", base=base).findings[0]
    assert finding.rule.url == ""  # docker's documentation has no page for it
    assert (finding.rule.name, finding.detail) == (
        "InvalidBaseImagePlatform",
        'Base image base was pulled with platform "linux/arm/v6", expected "linux/amd64" for current build',
    )


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", CheckOptions()),
        ("skip=A, B;error=true", CheckOptions(frozenset({"A", "B"}), is_error=True)),
        (" experimental = all ; skip=all", CheckOptions(frozenset({"all"}), frozenset({"all"}))),
        ("error=0", CheckOptions()),
        ("skip=A,all;experimental=B, all", CheckOptions(frozenset({"A"}), frozenset({"B"}))),
    ],
)
def test_options_are_read(text: str, options: CheckOptions) -> None:
    assert CheckOptions.parse(text) == options


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("skip", 'invalid check option "skip"'),
        ("ignore=all", 'invalid check option "ignore"'),
        (
            "error=maybe",
            'failed to parse check option "error=maybe": strconv.ParseBool: parsing "maybe": invalid syntax',
        ),
    ],
)
def test_bad_options_are_refused(text: str, message: str) -> None:
    with pytest.raises(BadOptions) as caught:
        CheckOptions.parse(text)
    assert str(caught.value) == message
    with pytest.raises(DockerfileError) as located:
        checked(f"# check={text}\nFROM scratch\n")
    assert (str(located.value), located.value.first) == (f"failed to parse check options: {message}", 1)


def test_a_bad_build_argument_is_told_by_its_name() -> None:
    with pytest.raises(DockerfileError) as caught:
        checked("# check=skip=all\nFROM scratch\n", build_args={"BUILDKIT_DOCKERFILE_CHECK": "no"})
    assert (str(caught.value), caught.value.first) == (
        'failed to parse build-arg:BUILDKIT_DOCKERFILE_CHECK: invalid check option "no"',
        0,
    )


def test_the_build_argument_replaces_the_directive() -> None:
    text = "# check=skip=all\nFROM scratch as x\n"
    assert found(text) == []
    assert [name for name, _, _ in found(text, build_args={"BUILDKIT_DOCKERFILE_CHECK": "skip=Other"})] == [
        "FromAsCasing"
    ]
    assert [name for name, _, _ in found(text, build_args={"BUILDKIT_DOCKERFILE_CHECK": ""})] == ["FromAsCasing"]


def test_every_rule_has_a_page_in_dockers_documentation() -> None:
    assert Rule("JSONArgsRecommended", "").url == "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/"
    assert Rule("X", "", is_documented=False).url == ""
    assert Rule("FromAsCasing", "").url == "https://docs.docker.com/go/dockerfile/rule/from-as-casing/"


SKIPS = "# check=skip=all\n"


def test_a_comment_above_an_instruction_skips_what_is_found_at_it() -> None:
    assert found(f"FROM scratch AS x\n{SKIPS}MAINTAINER me\n{SKIPS}WORKDIR x\n{SKIPS}CMD a\n") == []
    assert found(f"# of this file\n\n{SKIPS}FROM --platform=linux/amd64 scratch as X\n") == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (f"FROM scratch\n{SKIPS}RUN a \\\n\n  b\n", ["NoEmptyContinuation"]),
        (f"FROM scratch AS x\n{SKIPS}FROM scratch AS x\n", ["DuplicateStageName"]),
        (f"# of this file\n\n{SKIPS}FROM scratch AS context\n", ["ReservedStageName"]),
        (f"FROM scratch\n{SKIPS}Copy a b\n", ["ConsistentInstructionCasing"]),
        (f"ARG A\n{SKIPS}FROM a:$A\n", ["InvalidDefaultArgInFrom"]),
    ],
)
def test_a_comment_above_an_instruction_does_not_skip_what_is_found_in_the_file(text: str, names: list[str]) -> None:
    assert [name for name, _, _ in found(text, build_args={"A": "1"})] == names


def test_a_base_of_another_platform_is_told_whatever_the_comment_says() -> None:
    base = ImageConfig(architecture="arm64", os="linux")
    text = f"# of this file\n\n{SKIPS}FROM base\n"
    assert [name for name, _, _ in found(text, base=base)] == ["InvalidBaseImagePlatform"]


def test_of_two_instructions_the_comment_above_the_later_counts() -> None:
    assert [name for name, _, _ in found(f'FROM scratch\n{SKIPS}CMD ["a"]\nCMD ["b"]\n')] == [
        "MultipleInstructionsDisallowed"
    ]
    assert found(f'FROM scratch\nCMD ["a"]\n{SKIPS}CMD ["b"]\n') == []
