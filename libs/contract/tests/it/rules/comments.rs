use cairn_contract::Declared;

use super::Report;
use super::surface::Surface;

/// Services, methods, messages, events and enums say what they are. (A method without a comment does not even load.)
pub fn everything_is_explained(surface: &Surface<'_>, report: &mut Report) {
    const MISSING: &str = "has no comment";
    for service in surface.files().flat_map(|file| file.services().collect::<Vec<_>>()) {
        if service.comment().is_empty() {
            report.add(&service, MISSING);
        }
    }
    for message in surface.messages().filter(|message| message.comment().is_empty()) {
        report.add(&message, MISSING);
    }
    for declared in surface.enums().filter(|declared| declared.comment().is_empty()) {
        report.add(&declared, MISSING);
    }
}
