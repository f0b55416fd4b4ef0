use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use cairn_kernel::{Clock, SystemClock};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::files::Material;
use super::{Files, Problem};

/// What is made of certificates.
pub trait Configured: Sized + Send + Sync + 'static {
    fn of(material: Material) -> Result<Self, Problem>;
}

/// What files held when they were last of use.
pub struct Reloading<T> {
    files: Files,
    clock: Arc<dyn Clock>,
    current: ArcSwap<T>,
    seen: Mutex<Seen>,
}

struct Seen {
    /// What is in force was made of this.
    bytes: Vec<u8>,
    expiry: i64,
    /// Why what the files hold now is not in force.
    problem: Option<String>,
}

impl<T: Configured> Reloading<T> {
    /// Reads the files, or says why they cannot be used.
    pub fn open(files: Files) -> Result<Arc<Self>, Problem> {
        Self::by(files, Arc::new(SystemClock))
    }

    /// The same by another clock.
    pub fn by(files: Files, clock: Arc<dyn Clock>) -> Result<Arc<Self>, Problem> {
        let bytes = files.bytes()?;
        let material = files.material(seconds(&*clock))?;
        let seen = Seen { bytes, expiry: material.expiry, problem: None };
        let current = ArcSwap::from_pointee(T::of(material)?);
        show(seen.expiry);
        Ok(Arc::new(Self { files, clock, current, seen: Mutex::new(seen) }))
    }

    /// What is in force.
    pub fn current(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Looks at the files, and takes what they hold if it is new and can be used. Reads from the disk.
    pub fn look(&self) {
        let mut seen = self.seen.lock();
        let taken = self.take(&mut seen);
        let certificate = self.files.certificate.display();
        match taken {
            Ok(false) => seen.problem = None,
            Ok(true) => {
                seen.problem = None;
                show(seen.expiry);
                metrics::counter!("cairn_tls_reloads_total", "outcome" => "taken").increment(1);
                info!(%certificate, "a new certificate is in force");
            }
            Err(problem) => {
                let problem = problem.to_string();
                if seen.problem.as_ref() != Some(&problem) {
                    metrics::counter!("cairn_tls_reloads_total", "outcome" => "kept").increment(1);
                    warn!(%certificate, problem, "the certificate from before stays in force");
                    seen.problem = Some(problem);
                }
            }
        }
    }

    /// Whether something new was taken.
    fn take(&self, seen: &mut Seen) -> Result<bool, Problem> {
        let bytes = self.files.bytes()?;
        if bytes == seen.bytes {
            return Ok(false);
        }
        let material = self.files.material(seconds(&*self.clock))?;
        let expiry = material.expiry;
        self.current.store(Arc::new(T::of(material)?));
        (seen.bytes, seen.expiry) = (bytes, expiry);
        Ok(true)
    }

    /// Looks at an interval, until `stop`.
    pub async fn watch(self: Arc<Self>, pause: Duration, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            let this = Arc::clone(&self);
            if let Err(fault) = tokio::task::spawn_blocking(move || this.look()).await {
                warn!(%fault, "certificates could not be looked at");
            }
        }
    }

    /// In how many seconds its certificate ends, and why a newer one is not in force.
    pub(super) fn standing(&self) -> (i64, Option<String>) {
        let seen = self.seen.lock();
        (seen.expiry - seconds(&*self.clock), seen.problem.clone())
    }

    pub(super) fn place(&self) -> String {
        self.files.certificate.display().to_string()
    }
}

fn seconds(clock: &dyn Clock) -> i64 {
    clock.now().seconds_and_nanos().0
}

fn show(expiry: i64) {
    metrics::gauge!("cairn_tls_certificate_expiry_timestamp_seconds").set(expiry as f64);
}
