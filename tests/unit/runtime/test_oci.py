"""Runtime errors in dockerd's words."""

import pytest

from scow.runtime import oci


@pytest.mark.parametrize(
    ("text", "program", "code", "words"),
    [
        ("executable file `x` not found in $PATH: No such file or directory", "x", 127, 'exec: "x": executable file not found in $PATH'),
        ("executable file `/x` not found in $PATH: No such file or directory", "/x", 127, 'exec: "/x": stat /x: no such file or directory'),
        ("open executable: Permission denied", "/x", 126, 'exec: "/x": permission denied'),
        ("open executable: Operation not permitted", "/bin", 126, 'exec: "/bin": is a directory'),
        ("something else", "x", 128, "something else"),
    ],
)
def test_start_errors(text: str, program: str, code: int, words: str) -> None:
    error = oci.start_error(f'{{"msg":"{text}","level":"error"}}', [program], running=False)
    assert error.exit_code == code
    assert words in error.message
    assert oci.start_error(text, [program], running=True).message.startswith("OCI runtime exec failed: exec failed:")


def test_an_empty_program_is_not_found() -> None:
    error = oci.start_error("open executable: Is a directory", [""], running=True)
    assert (error.exit_code, 'exec: "": executable file not found in $PATH' in error.message) == (127, True)
