//! Connections to the database.

use std::ops::Deref;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OnceCell, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_postgres::{AsyncMessage, Client, Statement};
use tracing::debug;

use crate::address::Address;
use crate::fault::{DialFault, said};
use crate::tls::Tls;

/// Between two attempts to reach a server that is not there yet.
const PAUSE: Duration = Duration::from_millis(200);
/// Notices of other processes that may wait to be looked at: one says as much as many.
const NOTICES_MAX: usize = 16;

/// Statements that a connection keeps prepared.
const PREPARED_MAX: usize = 2;

/// How long a failure to connect is answered to whoever asks next, instead of trying again: however many ask, a server that is
/// away is not stormed, nor is one that does not let us in.
const AWAY: Duration = Duration::from_millis(100);
const REFUSED: Duration = Duration::from_secs(5);

/// Knows how to reach a database.
pub struct Dialer {
    address: Address,
    tls: Tls,
    patience: Duration,
    failed: Mutex<Option<(Instant, DialFault)>>,
}

/// A connection. Dropped, it says goodbye.
pub struct Link {
    client: Client,
    line: JoinHandle<()>,
    prepared: [OnceCell<Statement>; PREPARED_MAX],
}

impl Link {
    /// Where a statement is kept that is worth being prepared: one that is run all the time. What is kept where, below
    /// [`PREPARED_MAX`], is up to whoever has the connection.
    pub fn prepared(&self, place: usize) -> &OnceCell<Statement> {
        &self.prepared[place]
    }

    /// Ends it at once, whatever is under way on it.
    pub fn cut(self) {
        self.line.abort();
    }
}

impl Deref for Link {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Dialer {
    /// By a URL. What is wrong with one is said without it, because a password is in it.
    pub fn new(url: &str, patience: Duration) -> Result<Self, String> {
        let address = Address::parse(url)?;
        let tls = Tls::new(&address)?;
        Ok(Self { address, tls, patience, failed: Mutex::default() })
    }

    /// Who and where, without the password.
    pub fn place(&self) -> String {
        self.address.to_string()
    }

    /// Whether a pooler in transaction mode stands between.
    pub fn is_pooled(&self) -> bool {
        self.address.is_pooled
    }

    /// Connects, once; or says why not if that is known.
    pub async fn dial(&self) -> Result<Link, DialFault> {
        if let Some((since, fault)) = &*self.failed.lock()
            && since.elapsed() < if matches!(fault, DialFault::Unreachable(_)) { AWAY } else { REFUSED }
        {
            return Err(fault.clone());
        }
        let dialed = self.try_dial().await;
        *self.failed.lock() = dialed.as_ref().err().map(|fault| (Instant::now(), fault.clone()));
        dialed
    }

    async fn try_dial(&self) -> Result<Link, DialFault> {
        let connecting = self.address.config.connect(self.tls.clone());
        let connected = timeout(self.patience, connecting).await.map_err(|_| self.late())?;
        let (client, connection) = connected.map_err(|error| DialFault::of(&error))?;
        let line = tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(why = said(&error), "a connection to the database ended");
            }
        });
        Ok(Link { client, line, prepared: Default::default() })
    }

    /// Connects to a server that may be about to start. Whoever is refused is not tried again.
    pub async fn dial_patiently(&self) -> Result<Link, DialFault> {
        let deadline = Instant::now() + self.patience;
        loop {
            let fault = match timeout_at(deadline, self.dial()).await {
                Ok(Ok(link)) => return Ok(link),
                Ok(Err(fault)) => fault,
                Err(_) => return Err(self.late()),
            };
            if !matches!(fault, DialFault::Unreachable(_)) || Instant::now() + PAUSE >= deadline {
                return Err(fault);
            }
            sleep(PAUSE).await;
        }
    }

    /// Connects, and hands on what the server tells by itself.
    pub async fn listen(&self, channel: &str) -> Result<(Link, mpsc::Receiver<String>), String> {
        let connecting = self.address.config.connect(self.tls.clone());
        let connected = timeout(self.patience, connecting).await.map_err(|_| self.late().why().to_owned())?;
        let (client, mut connection) = connected.map_err(|error| said(&error))?;
        let (teller, told) = mpsc::channel(NOTICES_MAX);
        let line = tokio::spawn(async move {
            while let Some(message) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
                match message {
                    // One that finds no room is not missed: those before it have the same to say.
                    Ok(AsyncMessage::Notification(notice)) => drop(teller.try_send(notice.payload().to_owned())),
                    Ok(_) => {}
                    Err(error) => return debug!(why = said(&error), "the connection that listens ended"),
                }
            }
        });
        let link = Link { client, line, prepared: Default::default() };
        let listening = timeout(self.patience, link.batch_execute(&format!("LISTEN {channel}"))).await;
        listening.map_err(|_| self.late().why().to_owned())?.map_err(|error| said(&error))?;
        Ok((link, told))
    }

    fn late(&self) -> DialFault {
        DialFault::Unreachable(format!("no answer within {} ms", self.patience.as_millis()))
    }
}
