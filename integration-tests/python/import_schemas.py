"""Makes a database of MLflow in each state that its schema went through, the last first migration's first.

    import_schemas.py FOLDER

Each is FOLDER/<migration>.db and has an experiment with a run, a metric, a model and a version. Prints the migrations, in
their order: from the last whose tables differ to the one of the MLflow that is installed.
"""

import json
import shutil
import sys
from pathlib import Path

# The last before experiments and models had workspaces.
BEFORE = "c8d9e0f1a2b3"
ROWS = """
INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time)
    VALUES (7, 'old', '{folder}/artifacts/7', 'active', 1700000000000);
INSERT INTO runs (run_uuid, name, status, start_time, lifecycle_stage, artifact_uri, experiment_id)
    VALUES ('r1', 'first', 'FINISHED', 1700000000000, 'active', '{folder}/artifacts/7/r1/artifacts', 7);
INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES ('loss', 0.5, 1700000000000, 'r1', 0, 0);
INSERT INTO registered_models (name, creation_time) VALUES ('m', 1700000000000);
INSERT INTO model_versions (name, version, creation_time, current_stage, source)
    VALUES ('m', 1, 1700000000000, 'None', 's3://elsewhere');
"""


def main() -> None:
    from alembic import command
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config, create_sqlalchemy_engine
    from mlflow.store.tracking.dbmodels.initial_models import Base

    folder = Path(sys.argv[1])
    (folder / "artifacts").mkdir()
    database = folder / "growing.db"
    config = _get_alembic_config(f"sqlite:///{database}")
    engine = create_sqlalchemy_engine(f"sqlite:///{database}")
    Base.metadata.create_all(engine)
    made = []
    script = ScriptDirectory.from_config(config)
    for revision in reversed(list(script.walk_revisions(BEFORE, "heads"))):
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision.revision)
        if not made:
            with engine.begin() as connection:
                for statement in ROWS.format(folder=folder).split(";\n"):
                    connection.exec_driver_sql(statement)
        made.append(revision.revision)
        shutil.copy(database, folder / f"{revision.revision}.db")
    print(json.dumps(made))


if __name__ == "__main__":
    main()
