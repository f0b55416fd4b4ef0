mod access;
mod answers;
mod audit;
mod tenants;
mod wire;

use tonic::Status;
use tonic_types::StatusExt;

/// The reason a caller was told.
fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}
