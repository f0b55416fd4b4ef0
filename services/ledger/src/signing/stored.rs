//! Our events as they are stored, and stored events as they are ours and as callers are told of them.

use bytes::Bytes;
use cairn_contract::cairn::ledger::events::v1::{EpochOpened, SigningKeyRotated};
use cairn_contract::cairn::ledger::v1::{EndedEpoch, SigningChange};
use cairn_eventstore::{DecodeFault, Recorded, Stored};
use cairn_kernel::Time;
use cairn_service::timestamp;
use prost::{Message, Name};

use super::{Announced, Ended, Event, Opened, Rotated};

const ROTATED: &str = "cairn.ledger.events.v1.SigningKeyRotated";
const OPENED: &str = "cairn.ledger.events.v1.EpochOpened";

impl Stored for Announced {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        match event {
            Event::Rotated(Rotated { origin, key, older_until }) => {
                let stored = SigningKeyRotated {
                    origin: origin.clone(),
                    verifying_key: key.clone(),
                    retire_time: Some(timestamp(*older_until)),
                };
                (ROTATED, stored.encode_to_vec().into())
            }
            Event::Opened(opened) => {
                let Opened { epoch, origin, key, reason, ended } = &**opened;
                let stored = EpochOpened {
                    epoch: *epoch,
                    origin: origin.clone(),
                    verifying_key: key.clone(),
                    reason: reason.clone(),
                    ended_origin: ended.origin.clone(),
                    ended_checkpoint: ended.checkpoint.clone(),
                    signed_size: ended.signed_size,
                    kept_size: ended.kept_size,
                    found_size: ended.found_size,
                };
                (OPENED, stored.encode_to_vec().into())
            }
        }
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        match kind {
            ROTATED => {
                let SigningKeyRotated { origin, verifying_key: key, retire_time } = read(payload)?;
                let until = retire_time.unwrap_or_default();
                let older_until = Time::from_seconds_and_nanos(until.seconds, until.nanos);
                Ok(Event::Rotated(Rotated { origin, key, older_until }))
            }
            OPENED => {
                let stored: EpochOpened = read(payload)?;
                Ok(Event::Opened(Box::new(Opened {
                    epoch: stored.epoch,
                    origin: stored.origin,
                    key: stored.verifying_key,
                    reason: stored.reason,
                    ended: Ended {
                        origin: stored.ended_origin,
                        checkpoint: stored.ended_checkpoint,
                        signed_size: stored.signed_size,
                        kept_size: stored.kept_size,
                        found_size: stored.found_size,
                    },
                })))
            }
            _ => Err(DecodeFault::UnknownKind(kind.to_owned())),
        }
    }
}

fn read<M: Message + Default + Name>(payload: &[u8]) -> Result<M, DecodeFault> {
    M::decode(payload).map_err(|fault| DecodeFault::Malformed { kind: M::full_name(), message: fault.to_string() })
}

/// What callers are told of an event.
pub fn told(recorded: &Recorded) -> Result<SigningChange, DecodeFault> {
    let change = SigningChange {
        position: recorded.position.0.to_string(),
        event_time: Some(timestamp(recorded.time)),
        principal: recorded.metadata().principal,
        ..SigningChange::default()
    };
    Ok(match Announced::decode(&recorded.kind, &recorded.payload)? {
        Event::Rotated(Rotated { origin, key, older_until }) => {
            SigningChange { origin, verifying_key: key, retire_time: Some(timestamp(older_until)), ..change }
        }
        Event::Opened(opened) => SigningChange {
            origin: opened.origin,
            verifying_key: opened.key,
            reason: opened.reason,
            ended: Some(EndedEpoch {
                origin: opened.ended.origin,
                checkpoint: opened.ended.checkpoint,
                signed_size: opened.ended.signed_size.to_string(),
                kept_size: opened.ended.kept_size.to_string(),
                found_size: opened.ended.found_size.to_string(),
            }),
            ..change
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_they_were_written_and_named_as_the_contract_does() {
        let (origin, key) = ("log/2-1".to_owned(), "log/2-1+1+k".to_owned());
        let ended =
            Ended { origin: "log".into(), checkpoint: "note".into(), signed_size: 9, kept_size: 5, found_size: 7 };
        let rotated = Rotated { origin: origin.clone(), key: key.clone(), older_until: Time::from_micros(7_000_001) };
        let opened = Opened { epoch: 2, origin, key, reason: "restored".into(), ended };
        for event in [Event::Rotated(rotated), Event::Opened(Box::new(opened))] {
            let (kind, payload) = Announced::encode(&event);
            assert_eq!(Announced::decode(kind, &payload).unwrap(), event);
        }
        assert_eq!((ROTATED, OPENED), (&*SigningKeyRotated::full_name(), &*EpochOpened::full_name()));
    }
}
