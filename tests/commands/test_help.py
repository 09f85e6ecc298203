"""What a command takes is said at once: no library that takes seconds is imported for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SLOW = {
    "torch",
    "numpy",
    "hydra",
    "starlette",
    "uvicorn",
    "faiss",
    "huggingface_hub",
    "safetensors",
    "eccv_caption",
    "jinja2",
}


@pytest.mark.parametrize("name", ["cache", "eccv", "export", "index", "report", "search", "serve"])
def test_help_waits_for_no_library(name: str) -> None:
    code = (
        f"import sys; from selfalign.__main__ import main\n"
        f"try: main([{name!r}, '--help'])\n"
        f"except SystemExit: print('slow:', sorted({SLOW!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT, check=True
    )
    assert f"usage: selfalign {name}" in done.stdout
    assert done.stdout.splitlines()[-1] == "slow: []"
