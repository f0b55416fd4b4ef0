//! A stand-in for an identity provider, which says of somebody what a test wants it to say.

use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use axum::Json;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A running stand-in. It ends with the test.
pub struct Provider {
    pub issuer: String,
    key: Arc<Ed25519KeyPair>,
    /// The claims of the next ID token.
    next: Arc<Mutex<Value>>,
}

impl Provider {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let (key, next) = (Arc::new(Ed25519KeyPair::generate().unwrap()), Arc::new(Mutex::new(Value::Null)));
        let at = |path: &str| format!("{issuer}{path}");
        let document = json!({
            "issuer": issuer, "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"),
            "jwks_uri": at("/jwks"),
        });
        let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
        let jwks = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x}]});
        let (signing, claims) = (Arc::clone(&key), Arc::clone(&next));
        let token = move || {
            let answer = json!({"id_token": signed(&signing, &claims.lock().unwrap()), "token_type": "Bearer"});
            async move { Json(answer) }
        };
        let router = axum::Router::new()
            .route("/.well-known/openid-configuration", get(move || async move { Json(document) }))
            .route("/jwks", get(move || async move { Json(jwks) }))
            .route("/token", post(token));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { issuer, key, next }
    }

    /// What the next code is exchanged for.
    pub fn will_say(&self, more: Value) {
        *self.next.lock().unwrap() = self.claims(more);
    }

    /// A token with some claims beside the usual ones.
    pub fn signed(&self, more: Value) -> String {
        signed(&self.key, &self.claims(more))
    }

    fn claims(&self, more: Value) -> Value {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let mut claims = json!({"iss": self.issuer, "aud": "cairn", "iat": now, "exp": now + 300, "sub": "ada"});
        for (claim, value) in more.as_object().unwrap() {
            claims[claim] = value.clone();
        }
        claims
    }
}

fn signed(key: &Ed25519KeyPair, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(&json!({"alg": "EdDSA", "kid": "k"})), part(claims));
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes())))
}
