use cairn_contract::google::rpc::Code;

use super::Report;
use super::surface::Surface;

/// A reason that does not say how it ends a call, or what the caller can do, helps nobody.
pub fn reasons_have_a_code_and_a_comment(surface: &Surface<'_>, report: &mut Report) {
    for reason in surface.contract.reasons() {
        if reason.code == Code::Ok {
            report.add(&reason.descriptor, "has no (cairn.options.v1.code)");
        }
        if reason.comment.is_empty() {
            report.add(&reason.descriptor, "has no comment");
        }
    }
}
