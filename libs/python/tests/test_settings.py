import pytest

import cairn
from cairn.settings import settings


def test_what_is_not_given_comes_from_where_the_command_line_reads_it(tmp_path):
    key = tmp_path / "key"
    key.write_text("from-the-file\n")
    env = {"CAIRN_URL": "https://cairn.example.org/", "CAIRN_API_KEY": "from-the-environment", "CAIRN_PROJECT": "fraud"}
    found = settings(env=env)
    assert (found.url, found.project) == ("https://cairn.example.org", "projects/fraud")
    assert found.token.reveal() == "from-the-environment"
    assert settings(env={**env, "CAIRN_KEY_FILE": str(key)}).token.reveal() == "from-the-file"
    given = settings("http://127.0.0.1:1", "given", "projects/other", env={**env, "CAIRN_KEY_FILE": str(key)})
    assert (given.url, given.token.reveal(), given.project) == ("http://127.0.0.1:1", "given", "projects/other")
    nothing = settings(env={name: "" for name in env})
    assert (nothing.url, nothing.token, nothing.project) == ("http://127.0.0.1:3001", None, "projects/default")


@pytest.mark.parametrize("url", ["127.0.0.1:3001", "ftp://x", "http://", "http://x?y=1"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(cairn.InvalidArgument, match="no address"):
        settings(url, env={})


def test_a_key_file_that_cannot_be_read_or_is_empty_is_named(tmp_path):
    empty = tmp_path / "empty"
    empty.write_text("\n")
    for file in (tmp_path / "missing", empty):
        with pytest.raises(cairn.InvalidArgument, match=file.name):
            settings(env={"CAIRN_KEY_FILE": str(file)})
