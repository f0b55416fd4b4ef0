use std::sync::Arc;

use cairn_contract::cairn::config::v1 as proto;
use cairn_eventstore::{Filter, Message, Subscription};
use cairn_kernel::{Aggregate, Position};
use cairn_service::{Ctx, Reply, field, refuse};
use futures::stream;
use tokio::time::{Duration, Instant};
use tonic::{Request, Response, Status};

use super::configs::{Configs, Watched};
use super::entries::config;
use crate::desk::Desk;
use crate::model::{EnvironmentName, Scope};

/// How long a change may take from the log into the tables before the caller is told to ask again.
const PATIENCE: Duration = Duration::from_secs(30);

/// One caller's watch over one environment. Pulled by the connection: a slow caller is told what is in force when they
/// come to read it, and of no state in between.
struct Watch {
    desk: Arc<Desk>,
    ctx: Ctx,
    environment: EnvironmentName,
    subscription: Subscription,
    /// The digest of what was told last.
    told: Option<String>,
}

impl Configs {
    pub(super) async fn watch(&self, request: Request<proto::WatchConfigRequest>) -> Reply<Watched> {
        let (ctx, request) = Ctx::accept(request)?;
        let environment: EnvironmentName = field("environment", &request.environment)?;
        // What does not exist is said as any other refusal, before anything is streamed.
        config(&self.0.reading(&ctx, "").await?, &environment).await?;
        let store = self.0.commands.store();
        // Begun before the first look, so that nothing falls in between.
        let now: Position = *store.head().borrow();
        let subscription = Subscription::new(Arc::clone(store), now, Filter::categories([Scope::CATEGORY]));
        let watch = Watch { desk: Arc::clone(&self.0), ctx, environment, subscription, told: None };
        let configs = stream::try_unfold(watch, |mut watch| async move { Ok(Some((watch.next().await?, watch))) });
        Ok(Response::new(Box::pin(configs)))
    }
}

impl Watch {
    async fn next(&mut self) -> Result<proto::Config, Status> {
        if self.told.is_none() {
            return self.look().await;
        }
        loop {
            let Message::Events(events) = self.subscription.next().await.map_err(refuse)? else {
                // Nothing has happened; but whoever watches must still be allowed to.
                self.ctx.require(&self.ctx.method().permission, self.ctx.resource())?;
                continue;
            };
            let scope = self.environment.scope();
            let last = events.iter().rfind(|event| event.stream.id() == scope.to_string());
            let Some(last) = last else { continue };
            self.desk.view.reached(last.position, Instant::now() + PATIENCE).await.map_err(refuse)?;
            let before = self.told.clone();
            let config = self.look().await?;
            if before.as_deref() != Some(config.digest.as_str()) {
                return Ok(config);
            }
        }
    }

    /// What is in force, for whoever may still see it.
    async fn look(&mut self) -> Result<proto::Config, Status> {
        self.ctx.require(&self.ctx.method().permission, self.ctx.resource())?;
        let config = config(&self.desk.query, &self.environment).await?;
        self.told = Some(config.digest.clone());
        Ok(config)
    }
}
