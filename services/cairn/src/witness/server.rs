use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use cairn_kernel::{Clock, SystemClock};
use cairn_tlog::witness::{Offer, Refusal};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tracing::{error, info, warn};

use super::state::Witness;

/// Larger offers are refused: a checkpoint with 63 hashes and many signatures takes a few thousand bytes.
const OFFER_BYTES_MAX: usize = 128 << 10;

/// Vouches until told to stop, then finishes what was begun.
pub async fn serve(
    witness: Witness,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/add-checkpoint", post(add))
        .route("/health", get(|| async { "OK" }))
        .layer(DefaultBodyLimit::max(OFFER_BYTES_MAX))
        .with_state(Arc::new(Mutex::new(witness)));
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

async fn add(State(witness): State<Arc<Mutex<Witness>>>, body: Bytes) -> Response {
    let offer = std::str::from_utf8(&body).ok().map(str::parse::<Offer>);
    let offer = match offer {
        Some(Ok(offer)) => offer,
        Some(Err(fault)) => return told(StatusCode::BAD_REQUEST, fault),
        None => return told(StatusCode::BAD_REQUEST, "the offer is no text"),
    };
    let seconds = u64::try_from(SystemClock.now().micros() / 1_000_000).unwrap_or_default();
    let origin = offer.origin().to_owned();
    match tokio::task::spawn_blocking(move || witness.lock().add(&offer, seconds)).await {
        Ok(Ok(Ok(signature))) => {
            info!(origin, "vouched for a checkpoint");
            format!("{signature}\n").into_response()
        }
        Ok(Ok(Err(refusal))) => refused(&origin, &refusal),
        Ok(Err(fault)) => {
            error!(%fault, "nothing is vouched for");
            told(StatusCode::INTERNAL_SERVER_ERROR, "the witness cannot remember anything now")
        }
        Err(_) => told(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong here"),
    }
}

fn refused(origin: &str, refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::Conflict(known) => {
            let size = [(CONTENT_TYPE, "text/x.tlog.size")];
            return (StatusCode::CONFLICT, size, format!("{known}\n")).into_response();
        }
        Refusal::Malformed(_) | Refusal::Backwards { .. } => StatusCode::BAD_REQUEST,
        Refusal::UnknownLog(_) => StatusCode::NOT_FOUND,
        Refusal::NotSigned(_) => StatusCode::FORBIDDEN,
        Refusal::NotContained(_) => {
            // Signed by the log: a proof of its misbehaviour, or of a mistake.
            warn!(origin, %refusal, "a checkpoint does not contain what was vouched for");
            StatusCode::UNPROCESSABLE_ENTITY
        }
    };
    told(status, refusal)
}

fn told(status: StatusCode, why: impl std::fmt::Display) -> Response {
    (status, format!("{why}\n")).into_response()
}
