use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_contract::cairn::ledger::v1 as proto;
use cairn_contract::cairn::ledger::v1::lineage_service_server::LineageService;
use cairn_eventstore::EventStore;
use cairn_kernel::{Clock, Code, Description, Fault, Name, Position, Time};
use cairn_projection::{ReadModel, View as Follower};
use cairn_service::{Ctx, Refusal, Reply, field, moment_of, refuse};
use prost::Message;
use prost_types::Timestamp;
use rusqlite::Connection;
use tonic::{Request, Response, Status};

use super::{caught_up::caught_up, lineage_export, request, visible};
use crate::lineage::{
    ENDLESS, EdgeRow, Limits, NodeRow, Nodes, NodesPage, Steps, Towards, View, Walk, find, list, shortest,
};
use crate::page::Page;
use crate::query::Query;
use crate::scope::Scope;

/// Steps of a walk when the caller does not say.
const DEPTH_DEFAULT: usize = 10;
/// Names of nodes shown behind which there is more.
const TRUNCATED_MAX: usize = 100;
/// Nodes shown of one type of what is downstream.
const IMPACT_NODES_MAX: usize = 100;

/// Answers from the graph.
#[derive(Clone)]
pub struct Lineage {
    pub model: ReadModel,
    pub view: Follower,
    /// Finds the events that were received.
    pub journal: Query,
    pub journal_view: Follower,
    pub store: Arc<dyn EventStore>,
    pub clock: Arc<dyn Clock>,
    pub limits: Limits,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineageFault {
    #[error("{0} is not in the lineage graph as of position {1}")]
    NodeNotFound(Name, i64),
}

impl Fault for LineageFault {
    const DOMAIN: &'static str = "ledger.cairn";

    fn describe(&self) -> Description {
        let Self::NodeNotFound(name, position) = self;
        let metadata = vec![("node", name.to_string()), ("position", position.to_string())];
        (Code::NotFound, "LINEAGE_NODE_NOT_FOUND", metadata)
    }
}

impl Lineage {
    /// What the caller sees of the graph, as of a moment; the whole of it that has been written, if none is given.
    pub(super) async fn view_of(&self, ctx: &Ctx, scope: Scope, as_of: &str) -> Result<View, Status> {
        caught_up(&self.view, ctx).await?;
        let until = match ctx.as_of(as_of)? {
            None => self.view.position(),
            Some(as_of) => {
                let moment = moment_of(&*self.store, &*self.clock, as_of).await.map_err(refuse)?;
                self.view.reached(moment.position, ctx.deadline()).await.map_err(refuse)?;
                moment.position
            }
        };
        Ok(View { scope, until: until.0.cast_signed() })
    }

    pub(super) async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, Status> {
        self.model.query(query).await.map_err(refuse)
    }

    /// The depth that a request asks for.
    fn depth(&self, asked: i32, otherwise: usize) -> Result<usize, Status> {
        let problem = || refuse(Refusal::invalid("depth", format!("{asked} is negative")));
        match usize::try_from(asked).map_err(|_| problem())? {
            0 => Ok(otherwise.min(self.limits.depth)),
            depth => Ok(depth.min(self.limits.depth)),
        }
    }

    async fn around(&self, ctx: &Ctx, asked: proto::GetLineageRequest) -> Result<proto::Lineage, Status> {
        let ways: &[Towards] = match asked.direction() {
            proto::LineageDirection::Upstream => &[Towards::Upstream],
            proto::LineageDirection::Downstream => &[Towards::Downstream],
            _ => &[Towards::Upstream, Towards::Downstream],
        };
        let limits = Limits { depth: self.depth(asked.depth, DEPTH_DEFAULT)?, ..self.limits };
        let node = field::<Name>("node", &asked.node)?;
        let view = self.view_of(ctx, everywhere(ctx), &asked.as_of).await?;
        let until = view.until;
        let name = node.clone();
        let found = self.query(move |connection| {
            let mut nodes = Nodes::new(connection, view)?;
            let Some(start) = start(connection, &mut nodes, &name)? else { return Ok(None) };
            let steps = Steps::new(connection, &asked.relations)?;
            let walked = Walk { nodes: &mut nodes, steps, limits }.from(start, ways)?;
            let shown = shown_nodes(&mut nodes, &walked.found)?;
            let truncated = walked.truncated.iter().take(TRUNCATED_MAX).map(|id| (*id, 0)).collect::<Vec<_>>();
            Ok(Some(proto::Lineage {
                nodes: shown,
                edges: shown_edges(&mut nodes, &walked.edges)?,
                truncated: !walked.truncated.is_empty(),
                truncated_nodes: shown_nodes(&mut nodes, &truncated)?.into_iter().map(|node| node.name).collect(),
                position: until.to_string(),
            }))
        });
        found.await?.ok_or_else(|| not_found(node, until))
    }

    async fn path(&self, ctx: &Ctx, asked: proto::FindLineagePathRequest) -> Result<proto::LineagePath, Status> {
        let (from, to) = (field::<Name>("from", &asked.from)?, field::<Name>("to", &asked.to)?);
        ctx.require(&ctx.method().permission, &to)?;
        let view = self.view_of(ctx, everywhere(ctx), &asked.as_of).await?;
        let (until, limits) = (view.until, self.limits);
        let found = self.query(move |connection| {
            let mut nodes = Nodes::new(connection, view)?;
            let mut ends = vec![];
            for name in [from, to] {
                match start(connection, &mut nodes, &name)? {
                    Some(id) => ends.push(id),
                    None => return Ok(Err(name)),
                }
            }
            let mut steps = Steps::new(connection, &asked.relations)?;
            let way = shortest(&mut nodes, &mut steps, limits, (ends[0], ends[1]))?;
            let along: Vec<(i64, i32)> = way.nodes.iter().copied().zip(0..).collect();
            Ok(Ok(proto::LineagePath {
                nodes: shown_nodes(&mut nodes, &along)?,
                edges: shown_edges(&mut nodes, &way.edges)?,
                truncated: way.is_truncated,
                position: until.to_string(),
            }))
        });
        found.await?.map_err(|name| not_found(name, until))
    }

    async fn impact(&self, ctx: &Ctx, asked: proto::GetLineageImpactRequest) -> Result<proto::LineageImpact, Status> {
        let limits = Limits { depth: self.depth(asked.depth, self.limits.depth)?, ..self.limits };
        let node = field::<Name>("node", &asked.node)?;
        let view = self.view_of(ctx, everywhere(ctx), &asked.as_of).await?;
        let until = view.until;
        let name = node.clone();
        let found = self.query(move |connection| {
            let mut nodes = Nodes::new(connection, view)?;
            let Some(start) = start(connection, &mut nodes, &name)? else { return Ok(None) };
            let steps = Steps::new(connection, &[])?;
            let walked = Walk { nodes: &mut nodes, steps, limits }.from(start, &[Towards::Downstream])?;
            let mut groups = BTreeMap::<String, proto::LineageImpactGroup>::new();
            for node in shown_nodes(&mut nodes, &walked.found[1..])? {
                let group = groups.entry(node.r#type.clone()).or_default();
                group.r#type.clone_from(&node.r#type);
                group.count += 1;
                if group.nodes.len() < IMPACT_NODES_MAX {
                    group.nodes.push(node);
                }
            }
            Ok(Some(proto::LineageImpact {
                groups: groups.into_values().collect(),
                truncated: !walked.truncated.is_empty(),
                position: until.to_string(),
            }))
        });
        found.await?.ok_or_else(|| not_found(node, until))
    }

    async fn nodes(
        &self,
        ctx: &Ctx,
        mut asked: proto::ListLineageNodesRequest,
    ) -> Result<proto::ListLineageNodesResponse, Status> {
        let (size, token) = (std::mem::take(&mut asked.page_size), std::mem::take(&mut asked.page_token));
        let question = asked.encode_to_vec();
        let page = request::page(size, &token, &question)?;
        let resource = request::resource(&asked.resource)?;
        let view = self.view_of(ctx, visible(ctx, &resource), "").await?;
        let after = page.after.map_or(0, |after| after.0.cast_signed());
        let page = NodesPage { kind: asked.r#type, label: asked.label, after, size: page.size };
        let (found, has_more) = self.query(move |connection| list(connection, &view, &page)).await?;
        let last = found.last().filter(|_| has_more).map(|node| Position(node.id.cast_unsigned()));
        Ok(proto::ListLineageNodesResponse {
            nodes: found.into_iter().map(|node| shown_node(node, 0)).collect(),
            next_page_token: last.map(|last| Page::token(last, &question)).unwrap_or_default(),
        })
    }
}

/// Wherever the caller may look.
fn everywhere(ctx: &Ctx) -> Scope {
    visible(ctx, &Name::ROOT)
}

fn not_found(name: Name, until: i64) -> Status {
    refuse(Refusal::of(&LineageFault::NodeNotFound(name, until)))
}

/// Where a walk begins: a node that the reader sees.
fn start(connection: &Connection, nodes: &mut Nodes<'_>, name: &Name) -> Result<Option<i64>, rusqlite::Error> {
    match find(connection, name.as_str())? {
        Some(id) if nodes.sees(id)? => Ok(Some(id)),
        _ => Ok(None),
    }
}

fn shown_nodes(nodes: &mut Nodes<'_>, found: &[(i64, i32)]) -> Result<Vec<proto::LineageNode>, rusqlite::Error> {
    let mut shown = vec![];
    for (id, distance) in found {
        shown.extend(nodes.row(*id)?.map(|node| shown_node(node, *distance)));
    }
    Ok(shown)
}

fn shown_node(node: NodeRow, distance: i32) -> proto::LineageNode {
    proto::LineageNode {
        name: node.name.to_string(),
        r#type: node.kind,
        label: node.label,
        digest: node.digest,
        state: node.state,
        ended: node.is_ended,
        distance,
        position: node.position.to_string(),
    }
}

fn shown_edges(nodes: &mut Nodes<'_>, edges: &[EdgeRow]) -> Result<Vec<proto::LineageEdge>, rusqlite::Error> {
    let mut shown = vec![];
    for edge in edges {
        let (Some(from), Some(to)) = (nodes.name(edge.source)?, nodes.name(edge.target)?) else { continue };
        let (seconds, nanos) = Time::from_micros(edge.time_micros).seconds_and_nanos();
        shown.push(proto::LineageEdge {
            from,
            to,
            relation: nodes.word(edge.relation)?,
            position: edge.position.to_string(),
            event_time: Some(Timestamp { seconds, nanos }),
            end_position: if edge.end_position == ENDLESS { String::new() } else { edge.end_position.to_string() },
        });
    }
    Ok(shown)
}

#[tonic::async_trait]
impl LineageService for Lineage {
    async fn get_lineage(&self, request: Request<proto::GetLineageRequest>) -> Reply<proto::Lineage> {
        let (ctx, request) = Ctx::accept(request)?;
        self.around(&ctx, request).await.map(Response::new)
    }

    async fn find_lineage_path(&self, request: Request<proto::FindLineagePathRequest>) -> Reply<proto::LineagePath> {
        let (ctx, request) = Ctx::accept(request)?;
        self.path(&ctx, request).await.map(Response::new)
    }

    async fn get_lineage_impact(
        &self,
        request: Request<proto::GetLineageImpactRequest>,
    ) -> Reply<proto::LineageImpact> {
        let (ctx, request) = Ctx::accept(request)?;
        self.impact(&ctx, request).await.map(Response::new)
    }

    async fn list_lineage_nodes(
        &self,
        request: Request<proto::ListLineageNodesRequest>,
    ) -> Reply<proto::ListLineageNodesResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        self.nodes(&ctx, request).await.map(Response::new)
    }

    type ExportLineageStream = lineage_export::Pieces;

    async fn export_lineage(&self, request: Request<proto::ExportLineageRequest>) -> Reply<lineage_export::Pieces> {
        let (ctx, request) = Ctx::accept(request)?;
        self.clone().export(ctx, request).await.map(Response::new)
    }
}
