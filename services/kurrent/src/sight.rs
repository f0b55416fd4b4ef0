//! What a caller may see of the log.

use cairn_eventstore::Recorded;
use cairn_kernel::Name;
use cairn_service::Ctx;
use cairn_service::entry::Entry;
use tonic::Status;

use crate::names::Place;
use crate::shown::is_of_programs;

/// The right to see events of the platform, wherever it is held: the same as for `GET /api/v1/events`.
const PLATFORM: &str = "ledger.events.read";
/// The right to see what programs keep, on the whole deployment: it lies in no project.
pub const PROGRAMS: &str = "eventstore.streams.read";

/// What a caller may see at this moment. Made anew for each part of the log that is read, so that what was taken away
/// meanwhile is not shown.
pub struct Sight {
    platform: Vec<Name>,
    programs: bool,
}

impl Sight {
    pub fn of(ctx: &Ctx) -> Self {
        Self {
            platform: ctx.visible(PLATFORM, &Name::ROOT),
            programs: ctx.visible(PROGRAMS, &Name::ROOT).contains(&Name::ROOT),
        }
    }

    /// Whether an event may be shown.
    pub fn sees(&self, event: &Recorded) -> bool {
        if is_of_programs(event) {
            return self.programs;
        }
        // What does not read has been set aside by the ledger too.
        !self.platform.is_empty()
            && Entry::of(event).is_ok_and(|entry| self.platform.iter().any(|name| name.covers(&entry.resource)))
    }

    /// Whether all that there may be in a place would be shown, so that its absence may be told.
    pub fn sees_all_of(&self, place: &Place) -> bool {
        match place {
            Place::Program(_) | Place::Metadata(_) => self.programs,
            // A stream is named after what it is about.
            Place::Platform(stream) => {
                let about = stream.id().parse().unwrap_or(Name::ROOT);
                self.platform.iter().any(|name| name.covers(&about))
            }
            Place::System => true,
        }
    }
}

/// What a caller is told that sees nothing of a place: not allowed and not there look the same.
pub fn nothing_seen(ctx: &Ctx, place: &Place) -> Result<(), Status> {
    match place {
        Place::Platform(_) => ctx.require(PLATFORM, &Name::ROOT),
        Place::Program(_) | Place::Metadata(_) | Place::System => ctx.require(PROGRAMS, &Name::ROOT),
    }
}
