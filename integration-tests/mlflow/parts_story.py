"""An unmodified MLflow client sends a large file in parts and gets it back.

    parts_story.py --uri http://127.0.0.1:3001 [--token KEY] [--asks-server]

With --asks-server the client is not told to send parts: it asks the server whether it takes them. Prints how many parts
were sent, and ends with 0 when what came back is what was sent.
"""

import argparse
import hashlib
import os
import tempfile
from pathlib import Path

CHUNK = 5 * 1024 * 1024
SIZE = 2 * CHUNK + 17


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--uri", required=True)
    parser.add_argument("--token")
    parser.add_argument("--asks-server", action="store_true")
    args = parser.parse_args()
    os.environ |= {"MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(CHUNK), "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": str(CHUNK),
                   "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "GIT_PYTHON_REFRESH": "quiet"}
    if not args.asks_server:
        os.environ["MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD"] = "true"
    if args.token:
        os.environ["MLFLOW_TRACKING_TOKEN"] = args.token

    import mlflow
    import requests

    sent = []
    put = requests.put

    def counted(url, *rest, **named):
        """Watches the client send its parts; it does what it does."""
        answer = put(url, *rest, **named)
        sent.append(answer.status_code)
        return answer

    requests.put = counted
    mlflow.set_tracking_uri(args.uri)
    mlflow.set_experiment("parts")
    content = os.urandom(SIZE)
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run() as run:
        file = Path(folder) / "weights 1.bin"
        file.write_bytes(content)
        mlflow.log_artifact(str(file), "model/data")
        mlflow.log_artifact(str(file))
        for path in ("model/data/weights 1.bin", "weights 1.bin"):
            back = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path=path)
            assert Path(back).read_bytes() == content, f"{path} came back different"
        print(f"run={run.info.run_id}")
    print(f"parts={len(sent)}")
    print(f"sha256={hashlib.sha256(content).hexdigest()}")
    assert sent == [200] * 6, sent


if __name__ == "__main__":
    main()
