use std::collections::HashMap;
use std::fmt;

use cairn_contract::cairn::options::v1 as options;
use cairn_contract::{Contract, EventType};
use cairn_kernel::Name;
use prost_reflect::{DynamicMessage, FieldDescriptor, Value};

use super::template::{Template, elements};

/// What the contract says of each kind of event that has a part in the graph.
#[derive(Debug)]
pub struct Annotations {
    by_kind: HashMap<String, Annotation>,
}

/// All that is wrong with the contract's annotations.
#[derive(Debug, thiserror::Error)]
pub struct Broken(pub Vec<String>);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the contract's lineage does not read: {}", self.0.join("; "))
    }
}

/// What one kind of event adds.
#[derive(Debug)]
pub struct Annotation {
    event: EventType,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

#[derive(Debug)]
struct Node {
    list: Option<FieldDescriptor>,
    kind: Template,
    name: Template,
    label: Template,
    digest: Template,
    state: Template,
    is_alone: bool,
    is_ended: Option<bool>,
    is_below: bool,
}

#[derive(Debug)]
struct Edge {
    from: usize,
    to: usize,
    relation: String,
    replaces: bool,
    ends: bool,
}

/// What one event says of the graph.
#[derive(Debug, Default, PartialEq)]
pub struct Facts {
    pub mentions: Vec<Mention>,
    pub links: Vec<Link>,
}

/// A thing that an event is about. Empty texts say nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Mention {
    /// Names it in the graph: its name, without what may be left out.
    pub key: String,
    pub name: String,
    pub kind: String,
    pub label: String,
    pub digest: String,
    pub state: String,
    pub is_ended: Option<bool>,
    pub is_below: bool,
}

/// One mention comes from another.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    pub from: usize,
    pub to: usize,
    pub relation: String,
    pub replaces: bool,
    pub ends: bool,
}

impl Annotations {
    /// Reads them all, or says everything that is wrong.
    pub fn of(contract: &Contract) -> Result<Self, Broken> {
        let (mut by_kind, mut faults) = (HashMap::new(), vec![]);
        for event in contract.events() {
            let Some(lineage) = &event.lineage else { continue };
            match Annotation::of(event, lineage) {
                Ok(annotation) => drop(by_kind.insert(event.full_name.clone(), annotation)),
                Err(fault) => faults.push(format!("{}: {fault}", event.full_name)),
            }
        }
        if faults.is_empty() { Ok(Self { by_kind }) } else { Err(Broken(faults)) }
    }

    /// The kinds of event that have a part in the graph, in order.
    pub fn kinds(&self) -> Vec<String> {
        let mut kinds: Vec<_> = self.by_kind.keys().cloned().collect();
        kinds.sort_unstable();
        kinds
    }

    /// What an event of some kind adds.
    pub fn kind(&self, kind: &str) -> Option<&Annotation> {
        self.by_kind.get(kind)
    }
}

impl Annotation {
    fn of(event: &EventType, lineage: &options::Lineage) -> Result<Self, String> {
        let nodes = lineage
            .nodes
            .iter()
            .map(|node| Node::of(event, node).map_err(|fault| format!("node {:?}: {fault}", node.id)));
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        let place = |id: &str| {
            let mut found = (0..nodes.len()).filter(|at| lineage.nodes[*at].id == id);
            match (found.next(), found.next()) {
                (Some(at), None) => Ok(at),
                _ => Err(format!("there must be one node {id:?}")),
            }
        };
        let mut edges = vec![];
        for edge in &lineage.edges {
            let (from, to) = (place(&edge.from)?, place(&edge.to)?);
            if let (Some(one), Some(other)) = (&nodes[from].list, &nodes[to].list)
                && one != other
            {
                return Err(format!("{} and {} are of two lists", edge.from, edge.to));
            }
            if edge.relation.is_empty() {
                return Err(format!("the edge from {} to {} has no relation", edge.from, edge.to));
            }
            edges.push(Edge { from, to, relation: edge.relation.clone(), replaces: edge.replaces, ends: edge.ends });
        }
        Ok(Self { event: event.clone(), nodes, edges })
    }

    /// What an event says. One that does not read says nothing: other machinery complains of it.
    pub fn read(&self, payload: &[u8]) -> Facts {
        let Ok(message) = DynamicMessage::decode(self.event.descriptor.clone(), payload) else {
            return Facts::default();
        };
        let mut facts = Facts::default();
        // Where the mentions of each node are; `None` for an element that makes none.
        let places: Vec<Vec<Option<usize>>> = self.nodes.iter().map(|node| facts.mention(node, &message)).collect();
        for edge in &self.edges {
            let (from, to) = (&places[edge.from], &places[edge.to]);
            let is_pairwise = self.nodes[edge.from].list.is_some() && self.nodes[edge.to].list.is_some();
            let pairs: Vec<_> = match is_pairwise {
                true => from.iter().copied().zip(to.iter().copied()).collect(),
                false => from.iter().flat_map(|from| to.iter().map(|to| (*from, *to))).collect(),
            };
            for (from, to) in pairs {
                if let (Some(from), Some(to)) = (from, to) {
                    let Edge { relation, replaces, ends, .. } = edge;
                    facts.links.push(Link { from, to, relation: relation.clone(), replaces: *replaces, ends: *ends });
                }
            }
        }
        facts
    }
}

impl Facts {
    fn mention(&mut self, node: &Node, message: &DynamicMessage) -> Vec<Option<usize>> {
        let made: Vec<Option<Mention>> = match &node.list {
            None => vec![node.mention(message, None)],
            Some(list) => elements(message, list).iter().map(|value| node.mention(message, Some(value))).collect(),
        };
        let mut place = |mention| {
            self.mentions.push(mention);
            self.mentions.len() - 1
        };
        made.into_iter().map(|mention| mention.map(&mut place)).collect()
    }
}

impl Node {
    fn of(event: &EventType, node: &options::LineageNode) -> Result<Self, String> {
        let template = |text: &str| Template::parse(text, &event.descriptor);
        let read = Self {
            list: None,
            kind: template(&node.r#type)?,
            name: template(&node.name)?,
            label: template(&node.label)?,
            digest: template(&node.digest)?,
            state: template(&node.state)?,
            is_alone: node.alone,
            is_ended: node.ended,
            is_below: node.below,
        };
        if node.name.is_empty() {
            return Err("has no name".to_owned());
        }
        let templates = [&read.name, &read.kind, &read.label, &read.digest, &read.state];
        let lists: Vec<_> = templates.into_iter().flat_map(Template::lists).cloned().collect();
        if lists.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err("goes over two lists".to_owned());
        }
        Ok(Self { list: lists.into_iter().next(), ..read })
    }

    fn mention(&self, message: &DynamicMessage, element: Option<&Value>) -> Option<Mention> {
        let text = |template: &Template| template.text(message, element).unwrap_or_default();
        let name: Name = self.name.text(message, element)?.parse().ok()?;
        let key = if self.is_alone { alone(&name)? } else { name.to_string() };
        Some(Mention {
            key,
            name: name.to_string(),
            kind: text(&self.kind),
            label: text(&self.label),
            digest: text(&self.digest),
            state: text(&self.state),
            is_ended: self.is_ended,
            is_below: self.is_below,
        })
    }
}

/// A name without what lies between its project and its last collection.
fn alone(name: &Name) -> Option<String> {
    let project = name.project()?;
    let mut segments = name.segments().rev();
    let (id, collection) = (segments.next()?, segments.next()?);
    Some(format!("{project}/{collection}/{id}"))
}

#[cfg(test)]
mod tests {
    use cairn_contract::cairn::experiments::events::v1::{InputsLogged, RunCreated};
    use cairn_contract::cairn::experiments::v1::{DatasetInput, RunState};
    use cairn_contract::cairn::registry::events::v1::ModelVersionCreated;

    use super::*;

    fn read<M: prost::Name>(event: &M) -> Facts {
        let annotations = Annotations::of(Contract::embedded().unwrap()).unwrap();
        annotations.kind(&M::full_name()).unwrap().read(&event.encode_to_vec())
    }

    #[test]
    fn every_annotation_of_the_contract_reads_and_resolves() {
        let annotations = Annotations::of(Contract::embedded().unwrap()).unwrap();
        assert!(annotations.kinds().len() > 20, "{:?}", annotations.kinds());
        // Whatever an event holds, reading it ends well.
        for kind in annotations.kinds() {
            let annotation = annotations.kind(&kind).unwrap();
            assert_eq!(annotation.read(b"\xff\xff not a message"), Facts::default());
            annotation.read(&[]);
        }
    }

    #[test]
    fn a_run_is_named_with_and_without_its_experiment() {
        let run = "projects/p/experiments/e/runs/r";
        let facts = read(&RunCreated {
            run: run.into(),
            display_name: "first".into(),
            state: RunState::Running.into(),
            parent_run: "q".into(),
            ..Default::default()
        });
        let [of_run, parent] = facts.mentions.as_slice() else { panic!("{facts:?}") };
        assert_eq!((of_run.key.as_str(), of_run.name.as_str()), ("projects/p/runs/r", run));
        assert_eq!((of_run.label.as_str(), of_run.state.as_str()), ("first", "running"));
        assert_eq!(parent.key, "projects/p/runs/q");
        assert_eq!((facts.links[0].from, facts.links[0].to, facts.links[0].relation.as_str()), (1, 0, "started"));
    }

    #[test]
    fn what_is_not_stated_makes_no_node() {
        let run = RunCreated { run: "projects/p/experiments/e/runs/r".into(), ..Default::default() };
        assert_eq!((read(&run).mentions.len(), read(&run).links.len()), (1, 0));
        assert_eq!(read(&RunCreated { run: "no name".into(), parent_run: "q".into(), ..Default::default() }).links, []);
        let version = ModelVersionCreated {
            version: "projects/p/models/m/versions/1".into(),
            source_run: "bare".into(),
            ..Default::default()
        };
        assert_eq!(read(&version).mentions.len(), 1, "a run that is not known here is none");
    }

    #[test]
    fn elements_of_a_list_are_joined_one_by_one() {
        let dataset = |name: &str, source: &str| DatasetInput {
            display_name: name.into(),
            digest: "d".into(),
            source: source.into(),
            ..Default::default()
        };
        let facts = read(&InputsLogged {
            run: "projects/p/experiments/e/runs/r".into(),
            datasets: vec![dataset("local", "/tmp/x"), dataset("far", r#"{"uri": "s3://b/k"}"#)],
            models: vec!["m".into()],
        });
        let said = |link: &Link| {
            let id = |at: usize| facts.mentions[at].key.trim_start_matches("projects/p/").to_owned();
            format!("{} {} {}", id(link.from), link.relation, id(link.to))
        };
        let said: Vec<_> = facts.links.iter().map(said).collect();
        assert_eq!(
            said,
            [
                "datasets/s3~3A~2F~2Fb~2Fk versioned datasets/far/versions/d",
                "datasets/local/versions/d used runs/r",
                "datasets/far/versions/d used runs/r",
                "loggedModels/m used runs/r",
            ]
        );
    }
}
