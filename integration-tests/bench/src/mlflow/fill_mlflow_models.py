"""Fills an MLflow SQLite store with registered models directly: STORE MODELS VERSIONS_PER_MODEL TEAMS."""

import sqlite3
import subprocess
import sys


def main() -> None:
    store, models, per_model, teams = sys.argv[1], *map(int, sys.argv[2:5])
    subprocess.run([sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{store}"], check=True, capture_output=True)
    start = 1_600_000_000_000
    db = sqlite3.connect(store)
    db.execute("PRAGMA synchronous = OFF")
    for model in range(models):
        name = f"model-{model}"
        db.execute("INSERT INTO registered_models (name, creation_time, last_updated_time) VALUES (?, ?, ?)", (name, start, start))
        db.execute("INSERT INTO registered_model_aliases (name, alias, version) VALUES (?, 'champion', 1)", (name,))
        for version in range(1, per_model + 1):
            n = (version - 1) * models + model
            db.execute("INSERT INTO model_versions (name, version, creation_time, last_updated_time, current_stage, source, status)"
                       " VALUES (?, ?, ?, ?, 'None', ?, 'READY')", (name, version, start + n, start + n, f"s3://bench/models/{n}"))
            db.execute("INSERT INTO model_version_tags (name, version, key, value) VALUES (?, ?, 'team', ?)", (name, version, f"t{n % teams}"))
    db.commit()


if __name__ == "__main__":
    main()
