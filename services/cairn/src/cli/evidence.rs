//! `cairn evidence`: everything that a promotion rests on in one file, and whether such a file is true.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Context;
use cairn_contract::cairn::registry::events::v1::PromotionApproved;
use cairn_evidence::{Approval, Artifact, Pack, PackFault, Proven, Story};
use cairn_kernel::Name;
use clap::Subcommand;
use indicatif::ProgressBar;
use prost::Name as _;
use serde_json::{Value, json};

use super::exit::{Refuted, Unusable};
use super::output::{Output, line};
use super::session::Session;
use super::verify;

/// Groups of one member that are looked through.
const GROUPS_MAX: usize = 1_000;
/// Positions proven in one request.
const PROVEN_MAX: usize = 100_000;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Gathers the events that a promotion rests on, with their proofs, in one file: the model and its policy, the
    /// versions, the runs that made them with data, code and artifacts, the roles of those who agreed, and whose
    /// signatures counted if there had to be one.
    Pack {
        /// The promotion: `projects/{project}/models/{model}/promotions/{promotion}`, or `{model}/{promotion}`.
        #[arg(long)]
        promotion: String,
        /// Where to write it; otherwise `{promotion}.evidence.json`.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Most events in one file.
        #[arg(long, default_value_t = 20_000, value_name = "COUNT")]
        events_max: usize,
    },
    /// Verifies such a file and tells its story. Needs no network and no account.
    Verify(Verify),
}

#[derive(Debug, clap::Args)]
pub struct Verify {
    file: PathBuf,
    /// A key that the log signs with, or a file of such keys, one on each line; not fetched together with what is
    /// verified, or it vouches for itself.
    #[arg(long = "key", value_name = "KEY|FILE", required = true)]
    keys: Vec<String>,
}

pub async fn pack(session: Session, promotion: &str, output: Option<PathBuf>, events_max: usize) -> anyhow::Result<()> {
    let name = name(&session, promotion)?;
    let found = session.call("registry.v1.PromotionService/GetPromotion", json!({"name": name})).await?;
    let mut gathered = Gathered { session: &session, events_max, positions: BTreeSet::new() };
    gathered.all_of(&name, &found).await?;
    let (checkpoint, events) = prove(&session, &gathered.positions).await?;
    let pack = Pack::new(&name, checkpoint, events)?;
    let file = output.unwrap_or_else(|| PathBuf::from(format!("{}.evidence.json", last(&name))));
    std::fs::write(&file, pack.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
    let sentence = format!(
        "wrote {} with {} events; verify it with `cairn evidence verify {0} --key KEY`",
        file.display(),
        pack.events.len()
    );
    session.output.done(&sentence, &json!({"file": file, "events": pack.events.len(), "promotion": name}))
}

pub fn verify(output: Output, command: &Verify) -> anyhow::Result<()> {
    let keys = verify::keys("--key", &command.keys)?;
    let file = &command.file;
    let text = std::fs::read(file).map_err(|fault| Unusable(format!("cannot read {}: {fault}", file.display())))?;
    let text = String::from_utf8(text).map_err(|_| Refuted(format!("{} is no text", file.display())))?;
    let verified = Pack::verify(&text, &keys).map_err(|fault| match fault {
        PackFault::Malformed(_) => anyhow::Error::from(Unusable(fault.to_string())),
        fault => Refuted(fault.to_string()).into(),
    })?;
    let story = &verified.story;
    if output.is_json {
        let proven = json!({"origin": verified.checkpoint.origin, "size": verified.checkpoint.size.to_string()});
        output.json(&json!({"verified": true, "holds": story.holds(), "log": proven, "events": verified.events, "story": story}))?;
    } else {
        tell(story)?;
        line(&format!("\nproven: {} events of {}", verified.events, verified.checkpoint.origin))?;
    }
    match story.holds() {
        true => Ok(()),
        false => Err(Refuted("every event is proven, but a rule was not kept".to_owned()).into()),
    }
}

/// The story for people.
fn tell(story: &Story) -> anyhow::Result<()> {
    let promotion = &story.promotion;
    line(&format!("{} of {}: {}", last(&promotion.name), promotion.model, promotion.state.to_lowercase()))?;
    line(&format!("  {}  {} asked{}", promotion.request_time, promotion.requester, said(&promotion.comment)))?;
    for step in &promotion.moves {
        line(&format!("    version {} takes {}", step.version, step.target))?;
    }
    for approval in &promotion.approvals {
        let Approval { time, approver, role, comment, .. } = approval;
        line(&format!("  {time}  {approver} ({role}) agreed{}", said(comment)))?;
    }
    if !promotion.end_time.is_empty() {
        line(&format!("  {}  {} by {}", promotion.end_time, promotion.state.to_lowercase(), promotion.ender))?;
    }
    for version in &story.versions {
        line(&format!("version {} registered {} by {}", last(&version.name), version.create_time, version.creator))?;
        for (metric, value) in &version.metrics {
            line(&format!("  {metric} = {value}"))?;
        }
        files(&version.artifacts)?;
    }
    for run in &story.runs {
        line(&format!("{} by {} at {}", run.name, run.creator, run.create_time))?;
        for dataset in &run.datasets {
            line(&format!("  data {} {} {}", dataset.name, dataset.digest, dataset.source))?;
        }
        for (key, value) in &run.code {
            line(&format!("  code {key} {value}"))?;
        }
        files(&run.artifacts)?;
    }
    for finding in &story.findings {
        let sign = if finding.holds { "ok    " } else { "BROKEN" };
        line(&format!("{sign} {}: {}", finding.rule, finding.why))?;
    }
    Ok(())
}

fn files(artifacts: &BTreeMap<String, Artifact>) -> anyhow::Result<()> {
    for (path, artifact) in artifacts {
        line(&format!("  file {path} sha256:{} ({} bytes)", artifact.sha256, artifact.size_bytes))?;
    }
    Ok(())
}

fn said(comment: &str) -> String {
    if comment.is_empty() { String::new() } else { format!(": {comment}") }
}

/// The streams of events that a promotion rests on, each from its first.
struct Gathered<'a> {
    session: &'a Session,
    events_max: usize,
    positions: BTreeSet<u64>,
}

impl Gathered<'_> {
    async fn all_of(&mut self, name: &str, promotion: &Value) -> anyhow::Result<()> {
        let (model, _) = name.split_once("/promotions/").context("it is not the name of a promotion")?;
        let (project, _) = model.split_once("/models/").context("it is not the name of a promotion")?;
        let told = self.stream(&format!("registry.model-{model}")).await?;
        self.streams("registry.policy", project).await?;
        if promotion["terms"]["trusted_signature_required"] == true {
            for scope in [project, model] {
                self.stream(&format!("registry.signing-{scope}")).await?;
            }
        }
        let moves = promotion["moves"].as_array().cloned().unwrap_or_default();
        for step in moves {
            let version = format!("{model}/versions/{}", step["version"]);
            self.stream(&format!("registry.version-{version}")).await?;
            let request = json!({"name": version});
            let found = self.session.call("registry.v1.ModelVersionService/GetModelVersion", request).await?;
            let Some(run) = found["source_run"].as_str().filter(|run| !run.is_empty()) else { continue };
            self.streams("experiments.run", run).await?;
            self.streams("experiments.artifact", run).await?;
            let model = found["source_model"].as_str().filter(|model| !model.is_empty());
            if let (Some(model), Some((experiment, _))) = (model, run.split_once("/runs/")) {
                let model = format!("{experiment}/loggedModels/{model}");
                self.streams("experiments.artifact", &model).await?;
            }
        }
        let is_approval =
            |event: &&Value| event["type"] == PromotionApproved::full_name() && event["data"]["promotion"] == name;
        for approval in told.iter().filter(is_approval) {
            self.holding(model, approval).await?;
        }
        Ok(())
    }

    /// How the role came to the approver that their approval counts for, and whether it was taken away.
    async fn holding(&mut self, model: &str, approval: &Value) -> anyhow::Result<()> {
        let text = |field: &str| approval["data"][field].as_str().unwrap_or_default().to_owned();
        let (approver, role) = (text("approver"), text("role"));
        let since = self.event_at(&text("role_position")).await?;
        let group = match since["data"]["group"].as_str().or(since["data"]["principal"].as_str()) {
            Some(holder) if holder != approver => holder,
            _ => {
                let resource = since["data"]["resource"].as_str().unwrap_or_default().to_owned();
                self.stream(since["stream"].as_str().unwrap_or_default()).await?;
                return self.owner(model, &resource).await;
            }
        };
        let (organization, _) = group.split_once("/groups/").context("the log is not as this program knows it")?;
        let as_of = approval["position"].as_str().unwrap_or_default();
        let groups = async |member: &str| {
            let request = json!({"parent": organization, "member": member, "as_of": as_of});
            let found = self.session.list("auth.v1.GroupService/ListGroups", request, GROUPS_MAX).await?;
            anyhow::Ok(found.iter().filter_map(|group| Some(group["name"].as_str()?.to_owned())).collect::<Vec<_>>())
        };
        let mut ways = vec![];
        for inner in groups(&approver).await? {
            ways.extend(groups(&inner).await?.into_iter().map(|outer| vec![outer, inner.clone()]));
            ways.push(vec![inner]);
        }
        for way in ways {
            let request = json!({"principal": way[0], "role": role, "as_of": as_of});
            let given = self.session.list("auth.v1.AccessService/ListBindings", request, self.events_max).await?;
            for binding in given.iter().filter(|binding| may_cover(&binding["resource"], model)) {
                let name = binding["name"].as_str().unwrap_or_default();
                self.stream(&format!("auth.binding-{name}")).await?;
                self.owner(model, binding["resource"].as_str().unwrap_or_default()).await?;
                for group in &way {
                    self.stream(&format!("auth.group-{group}")).await?;
                }
            }
        }
        Ok(())
    }

    /// Where something is given on an organization: that the model's project belongs to it.
    async fn owner(&mut self, model: &str, resource: &str) -> anyhow::Result<()> {
        if let (true, Some((project, _))) = (resource.starts_with("organizations/"), model.split_once("/models/")) {
            self.stream(&format!("auth.project-{project}")).await?;
        }
        Ok(())
    }

    async fn event_at(&self, position: &str) -> anyhow::Result<Value> {
        let before = position.parse::<u64>().unwrap_or_default().saturating_sub(1);
        let request = json!({"after_position": before.to_string(), "order": "ORDER_OLDEST_FIRST"});
        let mut found = self.session.list("ledger.v1.LedgerService/ListEvents", request, 1).await?.into_iter();
        let event = found.next().filter(|event| event["position"] == position);
        event.with_context(|| format!("the event at position {position} may not be seen, and a role rests on it"))
    }

    /// Every stream of a category that tells of a resource, or of what lies below it.
    async fn streams(&mut self, category: &str, resource: &str) -> anyhow::Result<()> {
        let request = json!({"category": category, "resource": resource});
        let events = self.session.list("ledger.v1.LedgerService/ListEvents", request, self.events_max + 1).await?;
        let streams: BTreeSet<&str> = events.iter().filter_map(|event| event["stream"].as_str()).collect();
        for stream in streams {
            self.stream(stream).await?;
        }
        Ok(())
    }

    async fn stream(&mut self, stream: &str) -> anyhow::Result<Vec<Value>> {
        let request = json!({"stream": stream});
        let events = self.session.list("ledger.v1.LedgerService/ListEvents", request, self.events_max + 1).await?;
        self.positions.extend(events.iter().filter_map(|event| event["position"].as_str()?.parse::<u64>().ok()));
        anyhow::ensure!(
            self.positions.len() <= self.events_max,
            "it rests on more than {} events: allow more with --events-max",
            self.events_max
        );
        Ok(events)
    }
}

/// Whether what is given on a resource may hold on a model. An organization's does if the project belongs to it.
fn may_cover(resource: &Value, model: &str) -> bool {
    let resource = resource.as_str().unwrap_or_default();
    let covers = |resource: Name, model: Name| resource.covers(&model);
    resource.starts_with("organizations/")
        || resource.parse().ok().zip(model.parse().ok()).is_some_and(|(resource, model)| covers(resource, model))
}

async fn prove(session: &Session, positions: &BTreeSet<u64>) -> anyhow::Result<(String, Vec<Proven>)> {
    anyhow::ensure!(positions.len() <= PROVEN_MAX, "more than {PROVEN_MAX} events cannot be proven at once");
    let positions: Vec<String> = positions.iter().map(u64::to_string).collect();
    let bar = ProgressBar::new(positions.len() as u64);
    let request = json!({"positions": positions});
    let mut answers = session.stream("ledger.v1.TransparencyService/ProveEvents", request).await?;
    let (mut checkpoint, mut proven) = (String::new(), vec![]);
    while let Some(answer) = answers.next().await? {
        let text = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
        if !text("checkpoint").is_empty() {
            checkpoint = text("checkpoint");
        }
        let hashes = answer["hashes"].as_array().into_iter().flatten();
        proven.push(Proven {
            entry: text("entry"),
            index: text("index").parse().context("the answer is no proof")?,
            hashes: hashes.filter_map(|hash| hash.as_str().map(str::to_owned)).collect(),
            salt: text("salt"),
            payload: text("payload"),
        });
        bar.inc(1);
    }
    bar.finish_and_clear();
    anyhow::ensure!(proven.len() == positions.len(), "only {} of {} events were proven", proven.len(), positions.len());
    Ok((checkpoint, proven))
}

fn name(session: &Session, text: &str) -> anyhow::Result<String> {
    if text.starts_with("projects/") {
        return Ok(text.to_owned());
    }
    let (model, promotion) = text.split_once('/').context("a promotion is {model}/{promotion}, or its full name")?;
    Ok(format!("{}/models/{model}/promotions/{promotion}", session.project()))
}

fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
