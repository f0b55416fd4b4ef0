//! An aggregate to test stores and commands with: an account that must not be overdrawn.

use bytes::Bytes;
use cairn_eventstore::{DecodeFault, Order, RequestKey, Stored};
use cairn_kernel::{Aggregate, Code, Description, Fault, StreamName};
use uuid::Uuid;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    pub balance: i64,
    pub is_open: bool,
    pub changes: u64,
}

#[derive(Clone, Debug)]
pub enum Command {
    /// Repeating it changes nothing.
    Open,
    Deposit(i64),
    Withdraw(i64),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Opened,
    Deposited(i64),
    Withdrawn(i64),
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Rejection {
    #[error("the account is not open")]
    NotOpen,
    #[error("the account holds {0}, which is too little")]
    Overdrawn(i64),
}

impl Fault for Rejection {
    const DOMAIN: &'static str = "test.cairn";

    fn describe(&self) -> Description {
        (Code::FailedPrecondition, "TEST", vec![])
    }
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "test.account";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: Command) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Open if self.is_open => Ok(vec![]),
            Command::Open => Ok(vec![Event::Opened]),
            _ if !self.is_open => Err(Rejection::NotOpen),
            Command::Deposit(amount) => Ok(vec![Event::Deposited(amount)]),
            Command::Withdraw(amount) if amount > self.balance => Err(Rejection::Overdrawn(self.balance)),
            Command::Withdraw(amount) => Ok(vec![Event::Withdrawn(amount)]),
        }
    }

    fn evolve(&mut self, event: &Event) {
        self.changes += 1;
        match event {
            Event::Opened => self.is_open = true,
            Event::Deposited(amount) => self.balance += amount,
            Event::Withdrawn(amount) => self.balance -= amount,
        }
    }
}

impl Stored for Account {
    const SNAPSHOT: Option<&'static str> = Some("test.account.v1");

    fn encode(event: &Event) -> (&'static str, Bytes) {
        let (kind, amount) = match event {
            Event::Opened => ("test.events.v1.Opened", 0),
            Event::Deposited(amount) => ("test.events.v1.Deposited", *amount),
            Event::Withdrawn(amount) => ("test.events.v1.Withdrawn", *amount),
        };
        (kind, Bytes::copy_from_slice(&amount.to_be_bytes()))
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let malformed = |_| DecodeFault::Malformed { kind: kind.into(), message: "eight bytes expected".into() };
        let amount = i64::from_be_bytes(payload.try_into().map_err(malformed)?);
        match kind {
            "test.events.v1.Opened" => Ok(Event::Opened),
            "test.events.v1.Deposited" => Ok(Event::Deposited(amount)),
            "test.events.v1.Withdrawn" => Ok(Event::Withdrawn(amount)),
            _ => Err(DecodeFault::UnknownKind(kind.into())),
        }
    }

    fn freeze(&self) -> Bytes {
        format!("{} {} {}", self.balance, self.is_open, self.changes).into()
    }

    fn thaw(state: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(state).ok()?.split(' ');
        Some(Self {
            balance: parts.next()?.parse().ok()?,
            is_open: parts.next()?.parse().ok()?,
            changes: parts.next()?.parse().ok()?,
        })
    }
}

pub fn stream(id: &str) -> StreamName {
    StreamName::of(Account::CATEGORY, id)
}

/// An order of a caller who wants retries to be safe.
pub fn keyed(id: u128, hash: &str) -> Order {
    Order { request: Some(RequestKey { id: Uuid::from_u128(id), hash: hash.into() }), ..Order::default() }
}
