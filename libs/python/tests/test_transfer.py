import hashlib
import os

import pytest

import cairn
from cairn import transfer


def test_a_folder_is_all_its_files_with_their_digests(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "weights.bin").write_bytes(b"w")
    (tmp_path / "MLmodel").write_bytes(b"m")
    (tmp_path / "empty").mkdir()
    found = transfer.local_files(tmp_path)
    assert [(file.path, file.sha256) for file in found] == [
        ("MLmodel", hashlib.sha256(b"m").hexdigest()), ("data/weights.bin", hashlib.sha256(b"w").hexdigest())]
    assert [file.path for file in transfer.local_files(tmp_path / "MLmodel")] == ["MLmodel"]


def test_what_is_not_there_empty_a_link_or_no_file_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "linked").mkdir()
    os.symlink("/etc/passwd", tmp_path / "linked" / "model.pkl")
    (tmp_path / "piped").mkdir()
    os.mkfifo(tmp_path / "piped" / "pipe")
    for name in ("missing", "empty", "linked", "piped"):
        with pytest.raises(cairn.InvalidArgument, match=name):
            transfer.local_files(tmp_path / name)


@pytest.mark.parametrize("path", ["../a", "/etc/passwd", "a/../../b", "a\\..\\b", "", "a\0b"])
def test_no_path_leads_out_of_a_folder(tmp_path, path):
    with pytest.raises(cairn.InvalidArgument):
        transfer.below(tmp_path, path)
