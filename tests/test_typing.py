"""mypy and pyright refuse exactly the lines of tests/typing that are marked ``# refused``."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SAMPLES = sorted((ROOT / "tests" / "typing").glob("*.py"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_mypy_refuses_the_marked_lines_only(sample: Path, tmp_path: Path) -> None:
    found = _run("mypy", "--config-file", ROOT / "pyproject.toml", "--cache-dir", tmp_path, "-O", "json", sample)
    errors = [each for each in map(json.loads, found.splitlines()) if each["severity"] == "error"]
    here = [each for each in errors if Path(each["file"]).name == sample.name]
    assert {each["line"] for each in here} == _refused(sample), here


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_pyright_refuses_the_marked_lines_only(sample: Path) -> None:
    found = json.loads(_run("pyright", "--pythonpath", sys.executable, "--outputjson", sample))
    errors = [each for each in found["generalDiagnostics"] if each["severity"] == "error"]
    assert {each["range"]["start"]["line"] + 1 for each in errors} == _refused(sample), errors


def _run(*command: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr  # 2 and above: it could not check at all
    return done.stdout


def _refused(sample: Path) -> set[int]:
    lines = sample.read_text("utf-8").splitlines()
    return {number for number, line in enumerate(lines, start=1) if line.endswith("# refused")}
