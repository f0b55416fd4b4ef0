//! Every view of the suite over a log as the suite writes it, and whether views keep up with a log that grows as fast
//! as it can.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cairn::suite::{Config, Core, Engines, Roles, config};
use cairn_eventstore::EventStore;
use cairn_eventstore_sqlite::Sqlite;
use cairn_kernel::SystemClock;
use cairn_service::config::{Loaded, Sources};

use super::{PATIENCE, log};

/// Clients that append one event at a time.
const CLIENTS: usize = 64;
/// How often the lag is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Events of the log per second at which each view is built again, and how many of them it wants.
pub async fn rebuilt(folder: &Path, events: usize, rounds: usize, wanted: &str) -> anyhow::Result<()> {
    let loaded = load(&folder.join("suite"))?;
    let path = folder.join("suite/events/events.db");
    std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
    let store = Sqlite::open(&cairn_eventstore_sqlite::Config::at(path), Arc::new(SystemClock))?;
    let head = log::fill(&store, events).await?;
    drop(store);

    let began = Instant::now();
    let core =
        Core::open(&loaded, &Engines::default(), &Roles::all(), &format!("http://{}", loaded.get::<Config>().http()))
            .await?;
    core.caught_up(tokio::time::Instant::now() + PATIENCE).await?;
    let first = began.elapsed();
    println!("\n{:<46} {:>8}   {:>8}", "views of the suite, built again", "events/s", "wanted");
    for view in core.views().into_iter().filter(|view| view.name().starts_with(wanted)) {
        let (mut best, mut count) = (0.0, 0);
        for _ in 0..rounds {
            let began = Instant::now();
            count = view.rebuild().await?.events;
            best = f64::max(best, head.0 as f64 / began.elapsed().as_secs_f64());
        }
        println!("{:<46} {best:>8.0}   {count:>8}", view.name());
    }
    println!("{:<46} {:>8.0}   {:>8}", "all at once, at the first start", head.0 as f64 / first.as_secs_f64(), head.0);
    stop(&core).await;
    Ok(())
}

/// Appends single events as fast as many clients can: with no view, then with all of the suite.
pub async fn kept_up(folder: &Path, lasting: Duration) -> anyhow::Result<()> {
    let config = cairn_eventstore_sqlite::Config::at(folder.join("alone.db"));
    let alone: Arc<dyn EventStore> = Arc::new(Sqlite::open(&config, Arc::new(SystemClock))?);
    log::begin(&*alone).await?;
    let without = appended(&alone, lasting).await?;
    drop(alone);

    let loaded = load(&folder.join("followed"))?;
    let core =
        Core::open(&loaded, &Engines::default(), &Roles::all(), &format!("http://{}", loaded.get::<Config>().http()))
            .await?;
    log::begin(&*core.deps.store).await?;
    let views = core.views();
    let mut lags = vec![0; views.len()];
    let appending = appended(&core.deps.store, lasting);
    tokio::pin!(appending);
    let with = loop {
        tokio::select! {
            appended = &mut appending => break appended?,
            () = tokio::time::sleep(LOOK) => {
                for (most, view) in lags.iter_mut().zip(&views) {
                    *most = view.lag().max(*most);
                }
            }
        }
    };
    let began = Instant::now();
    core.caught_up(tokio::time::Instant::now() + PATIENCE).await?;
    println!("\n{CLIENTS} clients append single events for {} s", lasting.as_secs());
    println!("{:<46} {without:>8.0}   events/s", "with no view");
    println!("{:<46} {with:>8.0}   events/s", "with every view of the suite");
    for (view, lag) in views.iter().zip(lags) {
        println!("{:<46} {lag:>8}   events behind at most", view.name());
    }
    println!("{:<46} {:>8.0}   ms", "the last of them caught up after", began.elapsed().as_secs_f64() * 1e3);
    stop(&core).await;
    Ok(())
}

/// Events appended per second.
async fn appended(store: &Arc<dyn EventStore>, lasting: Duration) -> anyhow::Result<f64> {
    let count = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let clients = (0..CLIENTS).map(|_| {
        let (store, count) = (Arc::clone(store), Arc::clone(&count));
        tokio::spawn(async move {
            while began.elapsed() < lasting {
                store.append(vec![log::one(count.fetch_add(1, Ordering::Relaxed))]).await?;
            }
            anyhow::Ok(())
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await??;
    }
    Ok(count.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
}

fn load(data: &Path) -> anyhow::Result<Loaded> {
    Ok(config::registry().load(&Sources::new().with_environment([("CAIRN_DATA", data.display().to_string())]))?)
}

async fn stop(core: &Core) {
    for view in core.views() {
        view.stop(PATIENCE).await;
    }
}
