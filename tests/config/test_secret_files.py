"""A secret comes from a file as well as from a variable."""

from __future__ import annotations

from pathlib import Path

import pytest

from bff.config import Config, load, secret_files
from bff.core.errors import ConfigError
from tests.config.test_settings import GOOD

VALUES = {
    "AUTH0_SECRET": "7f3a9c51e2b84d06a1c5f0937be6d248",
    "REDIS_URL": "redis://:a-password@127.0.0.1:7/0",
    "BFF_ADMIN_KEY": "0c61f7d3ab2e49588d17fa6390bce254",
    "BFF_LOG_STREAM_KEY": "1d61f7d3ab2e49588d17fa6390bce254",
    "BFF_FORWARD_AUTH_KEY": "2e61f7d3ab2e49588d17fa6390bce254",
    "BFF_INTROSPECTION_CLIENTS": "api:3f61f7d3ab2e49588d17fa6390bce254",
    "BFF_SSF_TOKEN": "the-token-for-the-transmitter",
    "BFF_PROVIDER_PROXY": "http://user:password@127.0.0.1:7",
}
MORE = {"BFF_TRUSTED_PROXIES": "127.0.0.1"}


def loaded(environ: dict[str, str]) -> Config:
    return load({name: value for name, value in (GOOD | MORE | environ).items() if value})


@pytest.mark.parametrize(("mark", "end"), [("", "\n"), ("\ufeff", "\r\n")], ids=["", "Windows"])
def test_each_secret_may_be_in_a_file(mark: str, end: str, tmp_path: Path) -> None:
    own_file = {"AUTH0_CLIENT_SECRET"}
    assert set(VALUES) == set(secret_files.SECRETS) == load(GOOD).secret_variables - own_file
    names = {}
    for name, value in VALUES.items():
        file = tmp_path / name.lower()
        file.write_text(f"{mark}{value}{end}")
        names[f"{name}_FILE"] = str(file)
    assert loaded({"AUTH0_SECRET": ""} | names) == loaded(VALUES)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "can't be read: No such file or directory"), (b"", "is empty"), (b" \n", "is empty"),
        (b"\xff" * 40, "is not UTF-8"), (b"k" * 70_000, "is larger than 65536 bytes"),
        (b"short", "BFF_ADMIN_KEY"), (b"k" * 32 + b"\n" + b"k" * 32, "without line ends"),
        (b"k" * 32 + b"\0", "without line ends"),
    ],
)  # fmt: skip
def test_an_unusable_file_is_told_without_its_content(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        loaded({"BFF_ADMIN_KEY_FILE": str(file)})
    [problem] = caught.value.problems
    assert problem.startswith("BFF_ADMIN_KEY")
    assert says in problem
    assert "short" not in problem.replace("too short", "")


def test_a_secret_that_is_given_twice_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(VALUES["BFF_ADMIN_KEY"])
    with pytest.raises(ConfigError) as caught:
        loaded({"BFF_ADMIN_KEY": VALUES["BFF_ADMIN_KEY"], "BFF_ADMIN_KEY_FILE": str(file)})
    assert caught.value.problems == [
        "BFF_ADMIN_KEY_FILE: BFF_ADMIN_KEY is set, too; set one of them"
    ]


@pytest.mark.parametrize("name", [n for n in VALUES if n.endswith(("_KEY", "_CLIENTS"))])
def test_keys_in_lines_are_not_taken_as_one_that_nobody_can_send(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded({name: f"{VALUES[name]}\n{VALUES[name]}"})
    [problem] = caught.value.problems
    assert problem.startswith(f"{name}: ")
    assert "line ends" in problem or "id:secret,id:secret" in problem
    assert VALUES[name] not in problem
