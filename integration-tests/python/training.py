"""Trains real models on the data sets that ship inside scikit-learn, with the unmodified MLflow client."""

import os

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import mlflow
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 7


def train_everything(say=print) -> dict[str, list[str]]:
    """Trains on every data set. Gives the ids of the runs by experiment, the most interesting first."""
    runs = {}
    for name, train in [("breast-cancer", breast_cancer), ("diabetes", diabetes), ("digits", digits), ("wine", wine)]:
        mlflow.set_experiment(name)
        runs[name] = train()
        count = len(runs[name])
        say(f"{name}: {count} {'run' if count == 1 else 'runs'}")
    return runs


def breast_cancer() -> list[str]:
    """Autologging: parameters, metrics and the fitted model without a line of logging."""
    x, y = load_breast_cancer(return_X_y=True, as_frame=True)
    train_x, test_x, train_y, test_y = train_test_split(x, y, random_state=SEED)
    mlflow.sklearn.autolog(silent=True)
    try:
        with mlflow.start_run(run_name="logistic-regression") as run:
            model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(train_x, train_y)
            mlflow.log_metric("test_accuracy", model.score(test_x, test_y))
            mlflow.log_input(mlflow.data.from_pandas(train_x, name="breast-cancer"), context="training")
    finally:
        mlflow.sklearn.autolog(disable=True)
    return [run.info.run_id]


def diabetes() -> list[str]:
    """A metric curve: the test error after each boosting stage."""
    x, y = load_diabetes(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(x, y, random_state=SEED)
    with mlflow.start_run(run_name="gradient-boosting") as run:
        params = {"n_estimators": 120, "max_depth": 3, "learning_rate": 0.08}
        mlflow.log_params(params)
        model = GradientBoostingRegressor(**params, random_state=SEED).fit(train_x, train_y)
        for stage, predicted in enumerate(model.staged_predict(test_x)):
            mlflow.log_metric("test_rmse", float(((predicted - test_y) ** 2).mean() ** 0.5), step=stage)
        mlflow.log_text("\n".join(f"{value:.6f}" for value in model.feature_importances_), "importances.txt")
    return [run.info.run_id]


def digits() -> list[str]:
    """A small search: one parent run, one nested run for each setting."""
    x, y = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(x, y, random_state=SEED)
    children = []
    with mlflow.start_run(run_name="forest-search") as parent:
        for trees in (10, 40, 160):
            for depth in (6, 12):
                with mlflow.start_run(run_name=f"trees-{trees}-depth-{depth}", nested=True) as child:
                    mlflow.log_params({"trees": trees, "depth": depth})
                    model = RandomForestClassifier(trees, max_depth=depth, random_state=SEED).fit(train_x, train_y)
                    accuracy = accuracy_score(test_y, model.predict(test_x))
                    mlflow.log_metric("accuracy", accuracy)
                    children.append((accuracy, child.info.run_id))
        best = max(children)
        mlflow.log_metric("accuracy", best[0])
        mlflow.set_tag("best_run", best[1])
    return [run_id for _, run_id in sorted(children, reverse=True)] + [parent.info.run_id]


def wine() -> list[str]:
    """Learning curves epoch by epoch, tags, a note and the model itself."""
    x, y = load_wine(return_X_y=True)
    scaler = StandardScaler()
    train_x, test_x, train_y, test_y = train_test_split(x, y, random_state=SEED, stratify=y)
    train_x, test_x = scaler.fit_transform(train_x), scaler.transform(test_x)
    with mlflow.start_run(run_name="sgd", description="Learning curves of a linear model.") as run:
        mlflow.set_tags({"team": "demo", "stage": "exploration"})
        model = SGDClassifier(loss="log_loss", random_state=SEED)
        for epoch in range(30):
            model.partial_fit(train_x, train_y, classes=[0, 1, 2])
            mlflow.log_metrics({
                "train_loss": log_loss(train_y, model.predict_proba(train_x)),
                "test_accuracy": model.score(test_x, test_y),
            }, step=epoch)
        mlflow.sklearn.log_model(model, name="model", input_example=test_x[:2])
    return [run.info.run_id]
