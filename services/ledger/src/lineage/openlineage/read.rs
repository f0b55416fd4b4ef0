use cairn_contract::cairn::ledger::events::v1::{OpenLineageDataset, OpenLineageLink, OpenLineageReceived};
use cairn_kernel::{Code, Description, Fault, Name, Time};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::identity;

/// How large an event may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub bytes_max: usize,
    pub datasets_max: usize,
}

/// An event that was understood.
#[derive(Debug)]
pub struct Received {
    pub event: OpenLineageReceived,
    /// Resources of Cairn that it names: whoever says what came of them must be able to see them.
    pub resources: Vec<Name>,
}

/// Why an event is not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("{field}: {problem}")]
    Field { field: String, problem: String },
    #[error("the event has {count} {what}, more than the {max} of the setting {setting}")]
    TooLarge { what: &'static str, count: usize, max: usize, setting: &'static str },
}

impl Fault for Invalid {
    const DOMAIN: &'static str = "ledger.cairn";

    fn describe(&self) -> Description {
        match self {
            Self::Field { field, .. } => {
                (Code::InvalidArgument, "OPEN_LINEAGE_INVALID", vec![("field", field.clone())])
            }
            Self::TooLarge { count, max, setting, .. } => (
                Code::InvalidArgument,
                "OPEN_LINEAGE_TOO_LARGE",
                vec![("count", count.to_string()), ("max", max.to_string()), ("setting", (*setting).to_owned())],
            ),
        }
    }
}

fn invalid(field: &str, problem: impl Into<String>) -> Invalid {
    let field = if field.is_empty() { "event" } else { field };
    Invalid::Field { field: field.chars().take(200).collect(), problem: problem.into() }
}

/// Reads a RunEvent, JobEvent or DatasetEvent. What the spec requires must be there; what it does not know is kept.
pub fn read(project: &Name, body: &[u8], limits: Limits) -> Result<Received, Invalid> {
    if body.len() > limits.bytes_max {
        let (what, setting) = ("bytes", "ledger.openlineage_bytes_max");
        return Err(Invalid::TooLarge { what, count: body.len(), max: limits.bytes_max, setting });
    }
    let text = std::str::from_utf8(body).map_err(|_| invalid("", "is not UTF-8"))?;
    let event: Value = serde_json::from_str(text).map_err(|fault| invalid("", format!("is not JSON: {fault}")))?;
    let event = Object { path: String::new(), fields: event.as_object().ok_or_else(|| invalid("", "is no object"))? };
    let time = event.text("eventTime")?;
    if Time::parse(time).is_none() {
        return Err(invalid("eventTime", format!("{time:?} is no time in RFC 3339")));
    }
    for field in ["producer", "schemaURL"] {
        event.text(field)?;
    }
    let mut reader = Reader { project, resources: vec![], datasets: 0, limits };
    let mut received =
        OpenLineageReceived { project: project.to_string(), event: text.to_owned(), ..Default::default() };
    match (event.has("run"), event.has("job"), event.has("dataset")) {
        (true, _, false) => {
            reader.job(&event, &mut received)?;
            reader.run(&event, &mut received)?;
        }
        (false, true, false) => reader.job(&event, &mut received)?,
        (false, false, true) => {
            let dataset = event.object("dataset")?;
            let described = reader.dataset(&dataset, &mut received.links)?;
            received.described.push(described);
        }
        (_, _, true) => return Err(invalid("dataset", "stands in a DatasetEvent, which has neither run nor job")),
        (false, false, false) => return Err(invalid("run", "is missing: there must be a run, a job or a dataset")),
    }
    received.actor = if received.run.is_empty() { received.job.clone() } else { received.run.clone() };
    for (field, into) in [("inputs", &mut received.inputs), ("outputs", &mut received.outputs)] {
        for dataset in event.list(field)? {
            into.push(reader.dataset(&dataset, &mut received.links)?);
        }
    }
    Ok(Received { event: received, resources: reader.resources })
}

/// Turns what an event names into nodes.
struct Reader<'a> {
    project: &'a Name,
    resources: Vec<Name>,
    datasets: usize,
    limits: Limits,
}

impl Reader<'_> {
    fn job(&mut self, event: &Object<'_>, received: &mut OpenLineageReceived) -> Result<(), Invalid> {
        let job = event.object("job")?;
        job.facets("facets")?;
        let (namespace, name) = (job.text("namespace")?, job.text("name")?);
        received.job = identity::job(self.project, namespace, name);
        received.job_label = format!("{namespace}/{name}");
        Ok(())
    }

    fn run(&mut self, event: &Object<'_>, received: &mut OpenLineageReceived) -> Result<(), Invalid> {
        let run = event.object("run")?;
        received.run = format!("{}/runs/{}", received.job, uuid(&run, "runId")?);
        received.state = match event.optional("eventType")? {
            None | Some("OTHER") => "",
            Some("START" | "RUNNING") => "running",
            Some("COMPLETE") => "finished",
            Some("FAIL") => "failed",
            Some("ABORT") => "killed",
            Some(other) => {
                let problem = format!("{other:?} is none of START, RUNNING, COMPLETE, ABORT, FAIL and OTHER");
                return Err(invalid("eventType", problem));
            }
        }
        .to_owned();
        let Some(facets) = run.facets("facets")? else { return Ok(()) };
        if facets.has("parent") {
            let parent = facets.object("parent")?;
            let (job, run) = (parent.object("job")?, parent.object("run")?);
            let (namespace, name) = (job.text("namespace")?, job.text("name")?);
            let id = uuid(&run, "runId")?;
            received.parent_run = format!("{}/runs/{id}", identity::job(self.project, namespace, name));
        }
        Ok(())
    }

    fn dataset(
        &mut self,
        dataset: &Object<'_>,
        links: &mut Vec<OpenLineageLink>,
    ) -> Result<OpenLineageDataset, Invalid> {
        let node = self.named(dataset)?;
        for facets in ["inputFacets", "outputFacets"] {
            dataset.facets(facets)?;
        }
        let Some(facets) = dataset.facets("facets")? else { return Ok(node) };
        if facets.has("symlinks") {
            for identifier in facets.object("symlinks")?.list("identifiers")? {
                let link = self.named(&identifier)?;
                if link.node != node.node {
                    links.push(OpenLineageLink { dataset: Some(node.clone()), link: Some(link) });
                }
            }
        }
        Ok(node)
    }

    fn named(&mut self, dataset: &Object<'_>) -> Result<OpenLineageDataset, Invalid> {
        self.datasets += 1;
        let max = self.limits.datasets_max;
        if self.datasets > max {
            let (what, setting) = ("datasets", "ledger.openlineage_datasets_max");
            return Err(Invalid::TooLarge { what, count: self.datasets, max, setting });
        }
        let (namespace, name) = (dataset.text("namespace")?, dataset.text("name")?);
        if let Some(resource) = identity::resource(namespace, name) {
            let node = resource.to_string();
            self.resources.push(resource);
            return Ok(OpenLineageDataset { node, ..Default::default() });
        }
        let (node, label) = identity::dataset(self.project, namespace, name);
        Ok(OpenLineageDataset { node, r#type: "dataset".to_owned(), label })
    }
}

fn uuid(run: &Object<'_>, field: &str) -> Result<Uuid, Invalid> {
    let text = run.text(field)?;
    Uuid::parse_str(text).map_err(|_| invalid(&run.at(field), format!("{text:?} is no UUID")))
}

/// An object of the event, and where it stands.
struct Object<'a> {
    path: String,
    fields: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    fn at(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    fn has(&self, field: &str) -> bool {
        self.fields.get(field).is_some_and(|value| !value.is_null())
    }

    fn optional(&self, field: &str) -> Result<Option<&'a str>, Invalid> {
        match self.fields.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(invalid(&self.at(field), "is no text")),
        }
    }

    fn text(&self, field: &str) -> Result<&'a str, Invalid> {
        let text = self.optional(field)?.ok_or_else(|| invalid(&self.at(field), "is missing"))?;
        if text.is_empty() { Err(invalid(&self.at(field), "is empty")) } else { Ok(text) }
    }

    fn object(&self, field: &str) -> Result<Object<'a>, Invalid> {
        let value = self.fields.get(field).ok_or_else(|| invalid(&self.at(field), "is missing"))?;
        let fields = value.as_object().ok_or_else(|| invalid(&self.at(field), "is no object"))?;
        Ok(Object { path: self.at(field), fields })
    }

    fn list(&self, field: &str) -> Result<Vec<Object<'a>>, Invalid> {
        let items = match self.fields.get(field) {
            None | Some(Value::Null) => return Ok(vec![]),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(invalid(&self.at(field), "is no list")),
        };
        let object = |(at, item): (usize, &'a Value)| {
            let path = format!("{}[{at}]", self.at(field));
            let fields = item.as_object().ok_or_else(|| invalid(&path, "is no object"))?;
            Ok(Object { path, fields })
        };
        items.iter().enumerate().map(object).collect()
    }

    /// The facets of something: each says who made it and by which schema.
    fn facets(&self, field: &str) -> Result<Option<Object<'a>>, Invalid> {
        if !self.has(field) {
            return Ok(None);
        }
        let facets = self.object(field)?;
        for name in facets.fields.keys() {
            let facet = facets.object(name)?;
            facet.text("_producer")?;
            facet.text("_schemaURL")?;
        }
        Ok(Some(facets))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LIMITS: Limits = Limits { bytes_max: 10_000, datasets_max: 3 };

    fn project() -> Name {
        "projects/p".parse().unwrap()
    }

    fn run_event() -> Value {
        json!({
            "eventType": "COMPLETE", "eventTime": "2026-01-01T00:00:00Z", "producer": "https://example.org",
            "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
            "run": {"runId": "0176a8c2-fe01-7439-87e6-56a1a1b4029f", "facets": {
                "parent": {"_producer": "p", "_schemaURL": "s", "job": {"namespace": "n", "name": "dag"},
                           "run": {"runId": "0176a8c2-fe01-7439-87e6-56a1a1b40290"}}}},
            "job": {"namespace": "n", "name": "dag.task"},
            "inputs": [{"namespace": "s3://b", "name": "k"}],
            "outputs": [{"namespace": "cairn", "name": "projects/q/models/m/versions/1"}],
        })
    }

    fn problem(event: &Value) -> String {
        read(&project(), event.to_string().as_bytes(), LIMITS).unwrap_err().to_string()
    }

    #[test]
    fn a_run_event_gives_its_job_run_parent_and_datasets() {
        let text = format!("  {}", run_event());
        let received = read(&project(), text.as_bytes(), LIMITS).unwrap();
        let event = &received.event;
        assert_eq!(event.event, text, "kept to the letter");
        assert_eq!(event.run, "projects/p/jobs/n+dag.task/runs/0176a8c2-fe01-7439-87e6-56a1a1b4029f");
        assert_eq!(event.parent_run, "projects/p/jobs/n+dag/runs/0176a8c2-fe01-7439-87e6-56a1a1b40290");
        assert_eq!((event.state.as_str(), &event.actor), ("finished", &event.run));
        assert_eq!(event.inputs[0].node, "projects/p/datasets/s3~3A~2F~2Fb~2Fk");
        assert_eq!(
            (event.outputs[0].node.as_str(), event.outputs[0].r#type.as_str()),
            ("projects/q/models/m/versions/1", "")
        );
        assert_eq!(received.resources[0].as_str(), "projects/q/models/m/versions/1");
    }

    #[test]
    fn job_and_dataset_events_are_read_too() {
        let mut event = run_event();
        event.as_object_mut().unwrap().remove("run");
        let received = read(&project(), event.to_string().as_bytes(), LIMITS).unwrap().event;
        assert_eq!((received.run.as_str(), received.actor.as_str()), ("", "projects/p/jobs/n+dag.task"));
        let dataset = json!({
            "eventTime": "2026-01-01T00:00:00Z", "producer": "p", "schemaURL": "s",
            "dataset": {"namespace": "n", "name": "t", "facets": {"symlinks": {"_producer": "p", "_schemaURL": "s",
                "identifiers": [{"namespace": "s3://b", "name": "t", "type": "TABLE"}]}}},
        });
        let received = read(&project(), dataset.to_string().as_bytes(), LIMITS).unwrap().event;
        assert_eq!(received.described[0].node, "projects/p/datasets/n+t");
        assert_eq!(received.links[0].link.as_ref().unwrap().label, "s3://b/t");
    }

    #[test]
    fn an_error_says_which_field_is_wrong_and_how() {
        let cases: [(&str, Value, &str); 9] = [
            ("/eventTime", Value::Null, "eventTime: is missing"),
            ("/eventTime", json!("yesterday"), "eventTime: \"yesterday\" is no time in RFC 3339"),
            ("/producer", json!(""), "producer: is empty"),
            (
                "/eventType",
                json!("DONE"),
                "eventType: \"DONE\" is none of START, RUNNING, COMPLETE, ABORT, FAIL and OTHER",
            ),
            ("/run/runId", json!("7"), "run.runId: \"7\" is no UUID"),
            ("/job/name", json!(7), "job.name: is no text"),
            ("/inputs/0/namespace", Value::Null, "inputs[0].namespace: is missing"),
            ("/outputs", json!({}), "outputs: is no list"),
            ("/run/facets/parent/_producer", Value::Null, "run.facets.parent._producer: is missing"),
        ];
        for (pointer, value, expected) in cases {
            let mut event = run_event();
            *event.pointer_mut(pointer).unwrap() = value;
            assert_eq!(problem(&event), expected);
        }
        assert_eq!(
            problem(&json!({"eventTime": "2026-01-01T00:00:00Z", "producer": "p", "schemaURL": "s"})),
            "run: is missing: there must be a run, a job or a dataset"
        );
        assert_eq!(problem(&json!([])), "event: is no object");
    }

    #[test]
    fn an_event_beyond_a_limit_is_refused_with_the_setting() {
        let mut event = run_event();
        event["inputs"] = (0..4).map(|at| json!({"namespace": "n", "name": format!("t{at}")})).collect();
        assert!(problem(&event).ends_with("the 3 of the setting ledger.openlineage_datasets_max"));
        event["x"] = json!("x".repeat(20_000));
        assert!(problem(&event).ends_with("the 10000 of the setting ledger.openlineage_bytes_max"));
    }
}
