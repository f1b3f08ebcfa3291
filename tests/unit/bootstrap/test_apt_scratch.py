"""bootstrap/apt.py: where a program's temporary files go."""

from pathlib import Path

from scow.bootstrap import apt


def test_temporary_files_of_a_program_go_into_the_scratch_folder(tmp_path: Path) -> None:
    assert apt.run(["sh", "-c", "echo $TMPDIR"], scratch=tmp_path).strip() == str(tmp_path)
