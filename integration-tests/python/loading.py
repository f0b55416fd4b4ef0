"""What an unmodified MLflow client predicts with a model of the registry: in a process of its own, as it keeps its address."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from suite import Suite

LOAD = """
import mlflow, numpy, sys
features = numpy.load(sys.argv[2])
numpy.save(sys.argv[3], mlflow.pyfunc.load_model(sys.argv[1]).predict(features))
"""


def predicted(suite: Suite, model: str, features: np.ndarray, folder: Path) -> np.ndarray:
    """The predictions of `models:/name/1` or `models:/name@alias`."""
    np.save(folder / "features.npy", features)
    env = {**os.environ, "MLFLOW_TRACKING_URI": suite.url, "MLFLOW_TRACKING_TOKEN": suite.key, "GIT_PYTHON_REFRESH": "quiet"}
    arguments = [model, folder / "features.npy", folder / "predicted.npy"]
    done = subprocess.run([sys.executable, "-c", LOAD, *arguments], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return np.load(folder / "predicted.npy")
