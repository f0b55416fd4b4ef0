import os
import resource
import subprocess
import sys
from pathlib import Path

SECONDS_MAX = 0.4
SOURCE = Path(__file__).parent.parent / "src"


def in_python(code: str) -> tuple[str, float]:
    """What a fresh process prints, and how long it computed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    env = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_importing_takes_little_time_and_nothing_but_requests():
    seen, _ = in_python("import sys, cairn, cairn.registry, cairn.tauro; print(*{name.split('.')[0] for name in sys.modules})")
    assert not {"numpy", "pandas", "mlflow", "sklearn", "google", "yaml"} & set(seen.split())
    # Of processor time, the best of five: what else the machine does is not the SDK's.
    bare = min(in_python("pass")[1] for _ in range(5))
    whole = min(in_python("import cairn.tauro")[1] for _ in range(5))
    assert whole - bare < SECONDS_MAX
