//! A stand-in for the transit engine of HashiCorp Vault: its paths, its fields and its refusals, as Vault's
//! documentation has them. Not Vault.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

pub const TOKEN: &str = "s.stand-in";

#[derive(Default)]
pub struct Inner {
    version: AtomicU32,
    pub is_sealed: AtomicBool,
    /// What was encrypted: ciphertext to plaintext and what it is bound to.
    kept: Mutex<HashMap<String, (String, String)>>,
}

pub struct StandIn {
    pub address: String,
    pub inner: Arc<Inner>,
}

impl StandIn {
    pub async fn start() -> Self {
        let inner = Arc::new(Inner { version: AtomicU32::new(1), ..Inner::default() });
        let routes = Router::new()
            .route("/v1/transit/{verb}/{key}", post(work))
            .route("/v1/transit/keys/{key}/rotate", post(rotate))
            .with_state(Arc::clone(&inner));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { address, inner }
    }
}

type Answer = (StatusCode, Json<Value>);

fn refused(status: StatusCode, message: &str) -> Answer {
    (status, Json(json!({"errors": [message]})))
}

fn admits(inner: &Inner, headers: &HeaderMap, key: &str) -> Result<(), Answer> {
    if inner.is_sealed.load(Ordering::SeqCst) {
        return Err(refused(StatusCode::SERVICE_UNAVAILABLE, "Vault is sealed"));
    }
    if headers.get("x-vault-token").is_none_or(|token| token != TOKEN) {
        return Err(refused(StatusCode::FORBIDDEN, "permission denied"));
    }
    if key != "cairn" {
        return Err(refused(StatusCode::BAD_REQUEST, "encryption key not found"));
    }
    Ok(())
}

async fn work(
    State(inner): State<Arc<Inner>>,
    Path((verb, key)): Path<(String, String)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Answer {
    if let Err(refused) = admits(&inner, &headers, &key) {
        return refused;
    }
    let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
    let mut kept = inner.kept.lock().await;
    match verb.as_str() {
        "encrypt" => {
            let version = inner.version.load(Ordering::SeqCst);
            let ciphertext = format!("vault:v{version}:{}", kept.len());
            kept.insert(ciphertext.clone(), (text("plaintext"), text("associated_data")));
            (StatusCode::OK, Json(json!({"data": {"ciphertext": ciphertext, "key_version": version}})))
        }
        "decrypt" => match kept.get(&text("ciphertext")) {
            Some((plaintext, bound)) if *bound == text("associated_data") => {
                (StatusCode::OK, Json(json!({"data": {"plaintext": plaintext}})))
            }
            _ => refused(StatusCode::BAD_REQUEST, "cipher: message authentication failed"),
        },
        _ => refused(StatusCode::NOT_FOUND, "unsupported path"),
    }
}

async fn rotate(State(inner): State<Arc<Inner>>, Path(key): Path<String>, headers: HeaderMap) -> Answer {
    if let Err(refused) = admits(&inner, &headers, &key) {
        return refused;
    }
    inner.version.fetch_add(1, Ordering::SeqCst);
    (StatusCode::OK, Json(json!({"data": {}})))
}
