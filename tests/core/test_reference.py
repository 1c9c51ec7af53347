from __future__ import annotations

from typing import Any

import pytest

from minidock.core import reference
from minidock.core.digest import Digest
from minidock.core.dockerfile.glob import match
from minidock.core.reference import Parts, Reference
from minidock.errors import InvalidReference, PatternError
from tests.vectors import params

HEX = "a" * 64


@pytest.mark.parametrize(
    ("text", "parsed", "familiar", "full"),
    [
        (
            "ubuntu",
            Reference("docker.io", "library/ubuntu", "latest"),
            "ubuntu:latest",
            "docker.io/library/ubuntu:latest",
        ),
        ("me/app:1", Reference("docker.io", "me/app", "1"), "me/app:1", "docker.io/me/app:1"),
        ("localhost/a", Reference("localhost", "a", "latest"), "localhost/a:latest", "localhost/a:latest"),
        ("h:5000/a/b", Reference("h:5000", "a/b", "latest"), "h:5000/a/b:latest", "h:5000/a/b:latest"),
        ("index.docker.io/a", Reference("docker.io", "library/a", "latest"), "a:latest", "docker.io/library/a:latest"),
        (
            f"a@sha256:{HEX}",
            Reference("docker.io", "library/a", None, Digest(HEX)),
            f"a@sha256:{HEX}",
            f"docker.io/library/a@sha256:{HEX}",
        ),
        (
            f"a:1@sha256:{HEX}",
            Reference("docker.io", "library/a", "1", Digest(HEX)),
            f"a:1@sha256:{HEX}",
            f"docker.io/library/a:1@sha256:{HEX}",
        ),
        (
            "library/a/b",
            Reference("docker.io", "library/a/b", "latest"),
            "library/a/b:latest",
            "docker.io/library/a/b:latest",
        ),
    ],
)
def test_a_reference_in_its_forms(text: str, parsed: Reference, familiar: str, full: str) -> None:
    assert Reference.parse(text) == parsed
    assert (parsed.familiar, str(parsed)) == (familiar, full)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("a:", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("a\n", "invalid reference format"),
        ("BAD", "invalid reference format: repository name (library/BAD) must be lowercase"),
        ("me/BAD:x", "invalid reference format: repository name (me/BAD) must be lowercase"),
        (HEX, f"invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings"),
        ("a/" + "b" * 256, "repository name must not be more than 255 characters"),
        (f"a@md5:{HEX}", "unsupported digest algorithm"),
        (f"a@sha256:{HEX}a", "invalid checksum digest length"),
        (f"a@sha256:{HEX.upper()}", "invalid checksum digest format"),
    ],
)
def test_what_is_no_reference_is_refused_in_dockers_words(text: str, message: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        Reference.parse(text)
    assert (str(caught.value), caught.value.text) == (message, text)


UNFIT = {
    **{f"image-reference-{number:03}": "minidock has no name without domain" for number in (65, 67, 69)},
    "image-reference-190": "an image ID is told from a name where images are looked up",
    "image-reference-191": "an image ID is told from a name where images are looked up",
}


def ours(text: str) -> str:
    return text.replace("default.example", "docker.io")


@pytest.mark.parametrize("case", params("image-reference", fn="parse"))
def test_vectors_of_exact_references(case: dict[str, Any]) -> None:
    if "error_contains" in case:
        with pytest.raises(InvalidReference) as caught:
            reference.parse_exact(case["input"])
        assert case["error_contains"] in str(caught.value)
        return
    parts = reference.parse_exact(case["input"])
    name = f"{parts.domain}/{parts.path}" if parts.domain else parts.path
    assert (name, parts.domain, parts.tag, parts.digest) == tuple(
        case[field] for field in ("repository", "domain", "tag", "digest")
    )


@pytest.mark.parametrize("case", params("image-reference", fn=("with_name", "split_domain")))
def test_vectors_of_names(case: dict[str, Any]) -> None:
    if "error_contains" in case:
        with pytest.raises(InvalidReference) as caught:
            parts = reference.parse_exact(case["input"])
            if parts.tag or parts.digest:
                raise InvalidReference(case["input"])
        if case["input"] and "@invalid" not in case["input"]:
            assert case["error_contains"] in str(caught.value)
        return
    assert reference.parse_exact(case["input"]) == Parts(case["domain"], case["path"], "", "")


@pytest.mark.parametrize("case", params("image-reference", UNFIT, fn=("normalize", "normalize_split", "parse_named")))
def test_vectors_of_familiar_names(case: dict[str, Any]) -> None:
    text = ours(case["input"])
    if case.get("valid") is False:
        with pytest.raises(InvalidReference):
            Reference.parse(text)
        return
    parsed = Reference.parse(text)
    actual = {
        "familiar_name": parsed.familiar_name,
        "full_name": parsed.name,
        "domain": parsed.domain,
        "path": parsed.path,
    }
    for field in actual:
        if field in case:
            assert actual[field] == ours(case[field])


@pytest.mark.parametrize("case", params("image-reference", UNFIT, fn=("any", "docker_ref", "familiar_string")))
def test_vectors_of_full_references(case: dict[str, Any]) -> None:
    parsed = Reference.parse(ours(case["input"]))
    if case["fn"] == "familiar_string":
        assert (str(parsed), parsed.familiar) == (ours(case["full"]), case["familiar"])
        return
    full = str(parsed.without_digest_tag())
    # `any` leaves the tag out where docker adds the usual one.
    assert full in (ours(case["result"]), ours(case["result"]) + ":latest" * (case["fn"] == "any"))


@pytest.mark.parametrize("case", params("image-reference", fn="familiar_match"))
def test_vectors_of_patterns_over_names(case: dict[str, Any]) -> None:
    parsed = Reference.parse(ours(case["input"]))
    if case.get("error_any"):
        with pytest.raises(PatternError):
            match(case["pattern"], parsed.familiar)
    else:
        names = (parsed.familiar, parsed.familiar_name)
        assert any(match(case["pattern"], name) for name in names) is case["match"]


GRAMMAR = {
    "regexp:Domain": reference.DOMAIN,
    "regexp:FullName": reference.NAME,
    "regexp:Reference": reference.REFERENCE,
    "regexp:Identifier": reference.IDENTIFIER,
}


@pytest.mark.parametrize("case", params("image-reference", fn=tuple(GRAMMAR)))
def test_vectors_of_the_grammar(case: dict[str, Any]) -> None:
    found = GRAMMAR[case["fn"]].fullmatch(case["input"])
    assert (found is not None) is case["match"]
    if found is not None and "subs" in case:
        assert [group or "" for group in found.groups()] == case["subs"]


@pytest.mark.parametrize("case", params("image-reference", fn=("tag", "digest")))
def test_vectors_of_tags_and_digests(case: dict[str, Any]) -> None:
    separator = ":" if case["fn"] == "tag" else "@"
    with pytest.raises(InvalidReference):
        Reference.parse(f"name{separator}{case['input']}")
