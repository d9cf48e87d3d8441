"""The Dockerfile and what goes to the builder, checked without an engine."""

from __future__ import annotations

import fnmatch
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def instructions() -> list[tuple[str, str]]:
    """Return instruction and arguments of each line, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    lines = [" ".join(line.split()) for line in re.sub(r"\\\n", " ", text).splitlines() if line.strip()]
    parts = [line.partition(" ") for line in lines]
    return [(name, arguments) for name, _, arguments in parts]


INSTRUCTIONS = instructions()


def arguments(name: str) -> list[str]:
    return [given for instruction, given in INSTRUCTIONS if instruction == name]


def last_stage() -> list[tuple[str, str]]:
    start = max(index for index, (name, _) in enumerate(INSTRUCTIONS) if name == "FROM")
    return INSTRUCTIONS[start:]


def test_every_base_is_pinned_to_a_python_that_the_project_supports() -> None:
    for base in arguments("FROM"):
        assert re.fullmatch(r"python:3\.1[1-3](\.\d+)?-slim-\w+( AS \w+)?", base)


def test_it_does_not_run_as_root() -> None:
    users = [given for name, given in last_stage() if name == "USER"]
    assert users == ["10001:10001"]
    after = [name for name, _ in last_stage()]
    assert not {"RUN", "COPY", "ADD"} & set(after[after.index("USER") :])


def test_the_code_belongs_to_root() -> None:
    copies = [given for name, given in last_stage() if name == "COPY"]
    assert copies
    assert all("--chown=root:root" in given for given in copies)


def test_libraries_come_from_the_lock() -> None:
    installs = [given for given in arguments("RUN") if "install" in given or "uv sync" in given]
    syncs = [given for given in installs if "uv sync" in given]
    assert syncs
    assert all("--frozen" in given and "--no-dev" in given and "--compile-bytecode" in given for given in syncs)
    for given in installs:
        for package in re.findall(r"pip install (?:--\S+ )*(\S+)", given):
            assert re.fullmatch(r'"?[\w-]+==[\d.]+"?', package)
    uv = re.search(r"uv==([\d.]+)", " ".join(installs))
    required = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]["required-version"]
    assert uv is not None
    assert tuple(map(int, uv[1].split("."))) >= tuple(map(int, required.removeprefix(">=").split(".")))


def test_no_secret_and_nothing_from_elsewhere_goes_into_a_layer() -> None:
    assert not arguments("ADD")
    for name in ("ENV", "ARG", "LABEL", "COPY"):
        for given in arguments(name):
            assert not re.search(r"password|secret|token|\.env\b|api_?key", given, re.IGNORECASE)
    assert not any(re.search(r"\b(curl|wget|sudo)\b", given) for given in arguments("RUN"))


def test_commands_are_in_exec_form_so_that_signals_arrive() -> None:
    for name in ("ENTRYPOINT", "CMD", "SHELL"):
        assert all(given.startswith("[") for given in arguments(name))


def test_labels_are_those_of_the_image_specification() -> None:
    labels = " ".join(arguments("LABEL"))
    for name in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{name}=" in labels
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"VERSION={version}" in arguments("ARG")


def sent_to_builder(path: str) -> bool:
    """Return what .dockerignore says of a path, by its last rule that matches the path or a folder above it."""
    sent = True
    places = [path, *(str(parent) for parent in Path(path).parents if str(parent) != ".")]
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        pattern = rule.lstrip("!")
        names = [pattern, pattern.removeprefix("**/")]
        if any(fnmatch.fnmatch(place, name) for place in places for name in names):
            sent = rule.startswith("!")
    return sent


@pytest.mark.parametrize(
    "path", [".env", ".git/config", ".mlforge/secrets/postgres_password", ".venv/bin/python", "tests/conftest.py",
             "include/.env", "include/mlforge/__pycache__/refs.cpython-311.pyc"]
)  # fmt: skip
def test_what_is_private_or_useless_does_not_reach_the_builder(path: str) -> None:
    assert not sent_to_builder(path)


def test_all_that_is_copied_reaches_the_builder() -> None:
    for given in arguments("COPY"):
        if "--from" in given:
            continue
        *sources, _ = given.split()
        for source in sources:
            assert sent_to_builder(source.rstrip("/"))
