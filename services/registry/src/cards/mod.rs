//! Models for people: a page of all that is known of a version, versions side by side, and notes with their history.
//!
//! Decides nothing and stores nothing: it reads what the registry keeps, and a view of its own over notes.

mod card;
mod compare;
mod grpc;
mod html;
mod markdown;
mod notes;
mod page;

use std::path::Path;
use std::sync::Arc;

use cairn_eventstore::EventStore;
use cairn_projection::{QueryFault, ReadModel, View};
use cairn_service::Refusal;
use tonic::service::Routes;

pub use self::compare::compare;
pub use self::notes::{Note, NotePage};
pub use self::page::Page;
use crate::app::{App, Call};
use crate::model::{ModelName, VersionName};

/// Queries of notes that run at the same time.
const READERS: usize = 2;
/// Promotions of a model that are looked through for those of a version, newest first.
const PROMOTIONS_MAX: usize = 1000;

/// Cards, comparisons and notes. Cheap to clone.
#[derive(Clone)]
pub struct Cards {
    app: App,
    store: Arc<dyn EventStore>,
    model: ReadModel,
    view: View,
}

/// What a note is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Model(ModelName),
    Version(VersionName),
}

impl Cards {
    /// Starts the view of notes. Must be called on a tokio runtime.
    pub fn start(app: App, store: Arc<dyn EventStore>, views_folder: &Path) -> Result<Self, QueryFault> {
        let model = ReadModel::open(&views_folder.join("notes.sqlite"), READERS)?;
        let view = View::start(Arc::clone(&store), &model, notes::Notes)?;
        Ok(Self { app, store, model, view })
    }

    /// The view of notes.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Adds the service of the contract.
    pub(crate) fn routes(&self, routes: Routes) -> Routes {
        routes.add_service(grpc::service(self.clone()))
    }

    /// All that is known of a version.
    pub async fn card(&self, call: &Call, name: &VersionName) -> Result<Page, Refusal> {
        let version = self.app.version(call, name).await?;
        let model = self.app.model(call, &name.parent()).await?;
        let (query, now) = (self.app.query(), self.app.clock().now());
        let promotions = query.promotions(&name.parent(), None, now, PROMOTIONS_MAX, "").await?;
        Ok(card::page(&model, &version, &promotions.promotions))
    }

    /// What was noted of a model or version, newest first.
    pub async fn notes(
        &self,
        call: &Call,
        subject: &Subject,
        limit: usize,
        page_token: &str,
    ) -> Result<NotePage, Refusal> {
        match subject {
            Subject::Model(name) => drop(self.app.model(call, name).await?),
            Subject::Version(name) => drop(self.app.version(call, name).await?),
        }
        // Whoever has just written a note, and was answered by another view, finds it here.
        let head = *self.store.head().borrow();
        self.view.reached(head.max(call.after.unwrap_or_default()), call.deadline).await?;
        Ok(notes::list(&self.model, subject, limit, page_token).await?)
    }
}
