//! A log as the suite itself writes it.

use cairn_contract::cairn::auth::events::v1::{RoleGranted, UserCreated};
use cairn_contract::cairn::experiments::events::v1::{
    ArtifactRecorded, ExperimentCreated, MetricsLogged, ParamsLogged, RunCreated, RunFinished, RunTagsSet,
};
use cairn_contract::cairn::experiments::v1::RunState;
use cairn_eventstore::{EventStore, NewEvent, Write};
use cairn_kernel::{Expected, Metadata, Position, StreamName};
use uuid::Uuid;

/// Runs appended at once.
const RUNS_AT_ONCE: usize = 128;
/// Metrics that each run logs, one by one, as a training loop does.
const METRICS: usize = 20;
/// Experiments the runs belong to, in turns.
const EXPERIMENTS: usize = 20;
/// Runs that log at the same time.
const RUNS_AT_WORK: usize = 1000;
/// Events of one run, with those of a user and what they may do.
const EVENTS_PER_RUN: usize = METRICS + 8;

/// Writes runs with all they log, users and what they may do: `count` events or a few more.
pub async fn fill(store: &dyn EventStore, count: usize) -> anyhow::Result<Position> {
    let mut position = store.append(experiments()).await?.position;
    let runs: Vec<usize> = (0..count.div_ceil(EVENTS_PER_RUN)).collect();
    for part in runs.chunks(RUNS_AT_ONCE) {
        position = store.append(part.iter().flat_map(|number| run(*number)).collect()).await?.position;
    }
    Ok(position)
}

/// Writes the runs that [`one`] logs to.
pub async fn begin(store: &dyn EventStore) -> anyhow::Result<()> {
    let mut writes = experiments();
    writes.extend((0..RUNS_AT_WORK).map(|number| {
        let run = at_work(number);
        let created = RunCreated { run: run.clone(), state: RunState::Running.into(), ..Default::default() };
        write("experiments.run", &format!("projects/fraud/runs/{number}"), vec![event(&run, &created)])
    }));
    store.append(writes).await?;
    Ok(())
}

/// One metric of one run.
pub fn one(number: usize) -> Write {
    let (number, step) = (number % RUNS_AT_WORK, number / RUNS_AT_WORK);
    let run = at_work(number);
    let events = vec![event(&run, &metric(&run, number, step))];
    write("experiments.run", &format!("projects/fraud/runs/{number}"), events)
}

fn at_work(number: usize) -> String {
    format!("projects/fraud/experiments/0/runs/{number}")
}

fn experiments() -> Vec<Write> {
    let experiments = (0..EXPERIMENTS).map(|number| {
        let experiment = format!("projects/fraud/experiments/{number}");
        let created = ExperimentCreated {
            experiment: experiment.clone(),
            display_name: format!("question {number}"),
            ..Default::default()
        };
        write("experiments.experiment", &experiment, vec![event(&experiment, &created)])
    });
    experiments.collect()
}

fn run(number: usize) -> Vec<Write> {
    let id = Uuid::new_v4().simple().to_string();
    let name = format!("projects/fraud/experiments/{}/runs/{id}", number % EXPERIMENTS);
    let created = RunCreated {
        run: name.clone(),
        display_name: format!("bold-crane-{number}"),
        state: RunState::Running.into(),
        user: "maria".into(),
        experiment_revision: 1,
        ..Default::default()
    };
    let texts = |prefix: &str, count: usize| {
        (0..count).map(|at| (format!("{prefix}{at}"), format!("{}", number % 97 + at))).collect()
    };
    let mut events = vec![
        event(&name, &created),
        event(&name, &ParamsLogged { run: name.clone(), params: texts("param", 5) }),
        event(&name, &RunTagsSet { run: name.clone(), tags: texts("tag", 3) }),
    ];
    events.extend((0..METRICS).map(|step| event(&name, &metric(&name, number, step))));
    let finished = RunFinished { run: name.clone(), state: RunState::Finished.into(), ..Default::default() };
    events.push(event(&name, &finished));

    let artifacts = ["model/MLmodel", "model/model.pkl"].map(|path| {
        let recorded = ArtifactRecorded {
            owner: name.clone(),
            path: path.into(),
            object_key: Uuid::new_v4().to_string(),
            size_bytes: 1024,
            sha256: "0".repeat(64),
            media_type: "application/octet-stream".into(),
        };
        let artifact = format!("projects/fraud/runs/{id}/artifacts/{}", path.replace('/', "~"));
        write("experiments.artifact", &artifact, vec![event(&name, &recorded)])
    });
    let user = format!("users/u-{number}");
    let granted = RoleGranted {
        binding: format!("projects/fraud/bindings/b-{number}"),
        principal: user.clone(),
        role: "roles/viewer".into(),
        resource: "projects/fraud".into(),
        ..Default::default()
    };
    let mut writes = vec![
        write("experiments.run", &format!("projects/fraud/runs/{id}"), events),
        write("auth.user", &user, vec![event(&user, &UserCreated { user: user.clone() })]),
        write("auth.binding", &granted.binding, vec![event(&granted.binding, &granted)]),
    ];
    writes.extend(artifacts);
    writes
}

fn metric(run: &str, number: usize, step: usize) -> MetricsLogged {
    MetricsLogged {
        run: run.to_owned(),
        keys: vec![["loss", "accuracy"][step % 2].to_owned()],
        steps: vec![step as i64],
        time_deltas_ms: vec![1_700_000_000_000 + step as i64 * 1000],
        values: vec![(number as f64 + 1.0) / (step as f64 + 1.0)],
        ..Default::default()
    }
}

fn write(category: &str, id: &str, events: Vec<NewEvent>) -> Write {
    Write::new(StreamName::of(category, id), Expected::Any, events)
}

fn event<M: prost::Name>(resource: &str, event: &M) -> NewEvent {
    let metadata = Metadata {
        principal: "users/maria".into(),
        project: Some("projects/fraud".into()),
        action: "experiments.runs.log".into(),
        resource: resource.to_owned(),
        request_id: Uuid::new_v4().to_string(),
        correlation_id: Uuid::new_v4().to_string(),
        decision_id: Some(Uuid::new_v4().to_string()),
        source_address: Some("192.0.2.7".into()),
        ..Metadata::default()
    };
    NewEvent {
        id: Uuid::new_v4(),
        kind: M::full_name().into(),
        payload: event.encode_to_vec().into(),
        metadata: metadata.encode().into(),
    }
}
