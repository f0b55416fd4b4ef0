use cairn_kernel::Code;
use cairn_service::{Refusal, refuse};
use tonic::Status;

use super::reply::Sent;
use crate::desk::Desk;

const MARK: &str = "forms of our pages";

/// The mark that a form of ours carries, for one session.
pub fn mark(desk: &Desk, session: &str) -> String {
    desk.access.keyring().mark(MARK, &[session])
}

/// Refuses what changes something and does not come from a page of ours: from another origin, or without either the
/// header or the mark that only such a page can send.
pub fn require_own_page(desk: &Desk, sent: &Sent, session: &str, shown: Option<&str>) -> Result<(), Status> {
    let is_ours = sent.origin.as_deref().is_some_and(|origin| desk.public.is_origin(origin));
    let is_marked = shown.is_some_and(|shown| desk.access.keyring().is_mark(MARK, &[session], shown));
    if is_ours && (sent.is_own || is_marked) {
        return Ok(());
    }
    let problem = "the request does not come from a page of this deployment";
    Err(refuse(Refusal::new(Code::PermissionDenied, "CROSS_SITE_REFUSED", problem)))
}
