"""Fills an MLflow SQLite store directly: STORE RUNS POINTS EXPERIMENT."""

import sqlite3
import subprocess
import sys


def accuracy(n: int) -> float:
    return (n * 7919 % 10_007) / 10_007


def main() -> None:
    store, runs, points, experiment = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    subprocess.run([sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{store}"], check=True, capture_output=True)
    start = 1_600_000_000_000
    db = sqlite3.connect(store)
    db.execute("PRAGMA synchronous = OFF")
    db.execute("INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time)"
               " VALUES (0, 'Default', 'mlflow-artifacts:/0', 'active', ?, ?), (1, ?, 'mlflow-artifacts:/1', 'active', ?, ?)",
               (start, start, experiment, start, start))

    def add_run(run: str, name: str, started: int) -> None:
        db.execute("INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, lifecycle_stage, artifact_uri, experiment_id)"
                   " VALUES (?, ?, 'UNKNOWN', '', 'RUNNING', ?, 'active', ?, 1)", (run, name, started, f"mlflow-artifacts:/1/{run}/artifacts"))
        db.execute("INSERT INTO tags VALUES ('mlflow.runName', ?, ?)", (name, run))

    def add_metric(run: str, key: str, value: float, timestamp: int, step: int) -> None:
        db.execute("INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, 0)", (key, value, timestamp, run, step))

    def add_latest(run: str, key: str, value: float, timestamp: int, step: int) -> None:
        db.execute("INSERT INTO latest_metrics VALUES (?, ?, ?, ?, 0, ?)", (key, value, timestamp, step, run))

    long = "f" * 32
    add_run(long, "long", 1_500_000_000_000)
    db.execute("INSERT INTO tags VALUES ('long', 'yes', ?)", (long,))
    for step in range(points):
        add_metric(long, "curve", step / 3, 1_500_000_000_000 + step, step)
    add_latest(long, "curve", (points - 1) / 3, 1_500_000_000_000 + points - 1, points - 1)

    for n in range(runs):
        run = f"{n:032x}"
        add_run(run, f"run-{n}", start + n)
        db.execute("INSERT INTO params VALUES ('depth', ?, ?), ('rate', ?, ?)", (str(n % 10), run, f"0.{n % 7}", run))
        for key, value in (("accuracy", accuracy(n)), ("loss", 1 - accuracy(n))):
            add_metric(run, key, value, start, 0)
            add_latest(run, key, value, start, 0)
    db.commit()


if __name__ == "__main__":
    main()
