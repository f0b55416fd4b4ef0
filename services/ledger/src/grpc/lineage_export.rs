use std::collections::{BTreeMap, HashSet};
use std::pin::Pin;

use cairn_contract::cairn::ledger::events::v1::OpenLineageReceived;
use cairn_contract::cairn::ledger::v1::{ExportLineageRequest, LineageFormat};
use cairn_contract::google::api::HttpBody;
use cairn_kernel::{Name, Position};
use cairn_service::{Ctx, Refusal, refuse};
use futures::{Stream, stream};
use prost::{Message, Name as _};
use tokio::time::Instant;
use tonic::Status;
use tracing::error;

use super::lineage::Lineage;
use super::{request, visible};
use crate::lineage::{GraphMl, View, stories};
use crate::log;
use crate::page::Page;
use crate::query::Wanted;

/// An export, piece by piece.
pub type Pieces = Pin<Box<dyn Stream<Item = Result<HttpBody, Status>> + Send>>;

/// Rows of the graph behind one piece.
const PIECE_ROWS: usize = 500;
/// Received events read at once, and how many bytes of them.
const PIECE_EVENTS: usize = 200;
const PIECE_BYTES_MAX: usize = 2 << 20;
/// How long following waits before it looks whether the caller may still see anything.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(5);

/// How far one export has come. Pulled by the connection: a slow caller costs one piece of memory and holds up nobody.
struct Export {
    lineage: Lineage,
    ctx: Ctx,
    resource: Name,
    view: View,
    written: Written,
    content_type: &'static str,
    /// Whether a piece has been given. The first says what sort of content it is, so it comes at once.
    is_begun: bool,
}

enum Written {
    GraphMl(GraphMl),
    /// After this position.
    OpenLineage {
        after: i64,
        follows: bool,
    },
}

impl Lineage {
    pub(super) async fn export(self, ctx: Ctx, asked: ExportLineageRequest) -> Result<Pieces, Status> {
        let resource = request::resource(&asked.resource)?;
        let after = request::position("after_position", &asked.after_position)?.unwrap_or(Position::START);
        let (written, content_type) = match asked.format() {
            LineageFormat::Graphml => (Written::GraphMl(GraphMl::Head), "application/graphml+xml"),
            _ => {
                let after = after.0.cast_signed();
                (Written::OpenLineage { after, follows: asked.follow }, "application/x-ndjson")
            }
        };
        if let Written::OpenLineage { follows: true, .. } = written
            && !asked.as_of.is_empty()
        {
            return Err(refuse(Refusal::invalid("follow", "cannot be asked for together with as_of")));
        }
        let view = self.view_of(&ctx, visible(&ctx, &resource), &asked.as_of).await?;
        // The events that were received are found in the journal.
        let until = Position(view.until.cast_unsigned());
        self.journal_view.reached(until, ctx.deadline()).await.map_err(refuse)?;
        let export = Export { lineage: self, ctx, resource, view, written, content_type, is_begun: false };
        Ok(Box::pin(stream::try_unfold(export, |mut export| async move {
            Ok(export.next().await?.map(|piece| (piece, export)))
        })))
    }
}

impl Export {
    async fn next(&mut self) -> Result<Option<HttpBody>, Status> {
        if !std::mem::replace(&mut self.is_begun, true) {
            return Ok(Some(self.piece(String::new())));
        }
        loop {
            // What was taken away since the call began must not look like the end.
            for name in &self.view.scope.0 {
                self.ctx.require(&self.ctx.method().permission, name)?;
            }
            let text = match &self.written {
                Written::GraphMl(GraphMl::Done) => return Ok(None),
                Written::GraphMl(at) => {
                    let (at, view) = (*at, self.view.clone());
                    let next = self.lineage.query(move |connection| at.next(connection, view, PIECE_ROWS));
                    let (text, at) = next.await?;
                    self.written = Written::GraphMl(at);
                    text
                }
                Written::OpenLineage { after, follows } if *after >= self.view.until => {
                    if !follows {
                        return Ok(None);
                    }
                    // A line without anything, if there is no news: it keeps the connection, and finds out whether it is
                    // still there.
                    if self.wait().await? { String::new() } else { "\n".to_owned() }
                }
                Written::OpenLineage { after, follows } => {
                    let (after, follows) = (*after, *follows);
                    let (text, end) = self.told_after(after).await?;
                    self.written = Written::OpenLineage { after: end, follows };
                    text
                }
            };
            if !text.is_empty() {
                return Ok(Some(self.piece(text)));
            }
        }
    }

    fn piece(&self, text: String) -> HttpBody {
        HttpBody { content_type: self.content_type.to_owned(), data: text.into(), ..HttpBody::default() }
    }

    /// Waits until there may be more of the graph, and looks again at what the caller may see. Gives whether there is.
    async fn wait(&mut self) -> Result<bool, Status> {
        let next = Position(self.view.until.cast_unsigned() + 1);
        // That nothing happens for a while is no fault.
        let _ = self.lineage.view.reached(next, Instant::now() + LOOK_EVERY).await;
        let now = self.lineage.view.position();
        self.lineage.journal_view.reached(now, Instant::now() + LOOK_EVERY).await.map_err(refuse)?;
        let scope = visible(&self.ctx, &self.resource);
        if scope.0.is_empty() {
            self.ctx.require(&self.ctx.method().permission, &self.resource)?;
        }
        let has_news = self.view.until < now.0.cast_signed();
        self.view = View { scope, until: now.0.cast_signed() };
        Ok(has_news)
    }

    /// What the next positions tell, in their order, and up to which that is all.
    async fn told_after(&self, after: i64) -> Result<(String, i64), Status> {
        let (view, edges_max) = (self.view.clone(), self.lineage.limits.edges_per_node_max);
        let told = self.lineage.query(move |connection| stories(connection, view, after, PIECE_ROWS, edges_max));
        let (told, mut end) = told.await?;
        let wanted = Wanted {
            kinds: Some(vec![OpenLineageReceived::full_name()]),
            after: Some(Position(after.cast_unsigned())),
            until: Some(Position(end.cast_unsigned())),
            is_oldest_first: true,
            ..Wanted::default()
        };
        let page = Page { size: PIECE_EVENTS, after: None };
        let found = self.lineage.journal.positions(self.view.scope.clone(), wanted, page).await;
        let (positions, mut has_more) = found.map_err(refuse)?;
        let read = log::events_at(&self.lineage.store, &positions, PIECE_BYTES_MAX).await.map_err(refuse)?;
        has_more |= read.positions < positions.len();
        let is_received: HashSet<i64> = positions.iter().map(|position| position.0.cast_signed()).collect();
        if let Some(last) = positions[..read.positions].last().filter(|_| has_more) {
            end = last.0.cast_signed();
        }
        let mut lines = BTreeMap::<i64, String>::new();
        for story in told.iter().filter(|story| story.position <= end && !is_received.contains(&story.position)) {
            let line = lines.entry(story.position).or_default();
            line.push_str(&format!("{}\n", story.event));
        }
        for event in &read.events {
            // As it came in, but on one line.
            match OpenLineageReceived::decode(event.payload.clone()) {
                Ok(received) => {
                    lines.insert(event.position.0.cast_signed(), format!("{}\n", on_one_line(&received.event)));
                }
                Err(fault) => {
                    error!(position = %event.position, %fault, "a received event does not read, and is left out")
                }
            }
        }
        Ok((lines.into_values().collect(), end))
    }
}

/// JSON text without line ends, which stand nowhere in it but between its parts.
fn on_one_line(json: &str) -> String {
    json.replace(['\r', '\n'], " ")
}
