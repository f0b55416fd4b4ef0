//! `cairn login` and `cairn logout`: a session of a person, by their identity provider.

use std::time::Duration;

use anyhow::{Context, bail};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cairn_client::Fault;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::credentials::{CLIENT, Credentials, Held, post, refused};
use super::session::Connection;

/// How long somebody may take in their browser.
const PATIENCE: Duration = Duration::from_secs(600);
/// Longest request that is read from a browser.
const REQUEST_BYTES_MAX: usize = 16 << 10;
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

#[derive(Debug, clap::Args)]
pub struct Command {
    /// Show a code to type in at another machine's browser, instead of opening one here.
    #[arg(long)]
    device: bool,

    /// Print the address instead of opening it.
    #[arg(long)]
    no_browser: bool,

    /// Narrow the session to resources at or below these names.
    #[arg(long = "scope", value_name = "RESOURCE")]
    scopes: Vec<String>,
}

pub async fn login(connection: &Connection, command: Command) -> anyhow::Result<()> {
    let url = connection.url().trim_end_matches('/').to_owned();
    let credentials = Credentials::of_user().context("there is no folder to keep the session in: set HOME")?;
    let server = server(&url).await?;
    let scope = ["openid"].into_iter().chain(command.scopes.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
    let answer = match command.device {
        true => by_device(&server, &scope).await?,
        false => by_browser(&server, &scope, !command.no_browser).await?,
    };
    let held = Held::of(&answer).ok_or_else(|| refused(&url, &answer))?;
    credentials.keep(&url, Some(held))?;
    let who = connection.open_logged_in()?.call("auth.v1.AccessService/WhoAmI", json!({})).await?;
    let principal = who["principal"].as_str().unwrap_or_default().to_owned();
    connection.output().done(&format!("logged in as {principal}"), &json!({"principal": principal, "url": url}))
}

pub async fn logout(connection: &Connection) -> anyhow::Result<()> {
    let url = connection.url().trim_end_matches('/').to_owned();
    let credentials = Credentials::of_user().context("there is no folder that a session could be kept in")?;
    let Some(held) = credentials.find(&url)? else {
        return connection.output().done("nobody is logged in here", &json!({"was_logged_in": false}));
    };
    // Forgotten here whatever the server says: who logs out does not want it lying about.
    let ended = post(&format!("{url}/oauth2/revoke"), &[("token", &held.refresh_token), ("client_id", CLIENT)]).await;
    credentials.keep(&url, None)?;
    ended.context("the session is forgotten here, but the server could not be told to end it")?;
    connection.output().done("logged out", &json!({"was_logged_in": true}))
}

/// Where a server has what logging in takes (RFC 8414).
struct Server {
    issuer: String,
    authorize: String,
    token: String,
    device: String,
}

async fn server(url: &str) -> anyhow::Result<Server> {
    let at = format!("{url}/.well-known/openid-configuration");
    let unreachable = |source: reqwest::Error| Fault::Unreachable { url: at.clone(), source: source.without_url() };
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
    let document: Value = client
        .get(&at)
        .send()
        .await
        .map_err(unreachable)?
        .json()
        .await
        .map_err(|problem| Fault::Unexpected { url: at.clone(), problem: problem.without_url().to_string() })?;
    let text = |field: &str| {
        let problem = format!("it has no {field}");
        document[field].as_str().map(str::to_owned).ok_or(Fault::Unexpected { url: at.clone(), problem })
    };
    Ok(Server {
        issuer: text("issuer")?,
        authorize: text("authorization_endpoint")?,
        token: text("token_endpoint")?,
        device: text("device_authorization_endpoint")?,
    })
}

/// RFC 8252: a browser on this machine comes back to this very program.
async fn by_browser(server: &Server, scope: &str, opens: bool) -> anyhow::Result<Value> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen for the browser")?;
    let redirect_uri = format!("http://{}/callback", listener.local_addr()?);
    let (state, verifier) = (fresh(), fresh());
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
    let address = reqwest::Url::parse_with_params(
        &server.authorize,
        [
            ("response_type", "code"),
            ("client_id", CLIENT),
            ("redirect_uri", &redirect_uri),
            ("scope", scope),
            ("state", &state),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ],
    )?;
    let is_opened = opens && open(address.as_str());
    eprintln!("{}\n\n  {address}\n", if is_opened { "Log in in your browser. If none opened:" } else { "Log in at" });
    let returned = timeout(PATIENCE, returned(&listener)).await.context("nobody logged in in time")??;
    let given = |name: &str| returned.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    if given("state").as_deref() != Some(&state) {
        bail!("the browser came back from another login");
    }
    if given("iss").as_deref() != Some(&server.issuer) {
        bail!("the browser came back from another server than it was sent to");
    }
    if let Some(error) = given("error") {
        bail!("not logged in: {}", given("error_description").unwrap_or(error));
    }
    let code = given("code").context("the browser came back without a code")?;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", &redirect_uri),
        ("code_verifier", &verifier),
        ("client_id", CLIENT),
    ];
    Ok(post(&server.token, &form).await?)
}

/// The first request for our address; others (a browser asks for icons) are told that there is nothing.
async fn returned(listener: &TcpListener) -> anyhow::Result<reqwest::Url> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        let Ok(Ok(path)) = timeout(Duration::from_secs(10), path(&mut stream)).await else { continue };
        let url = reqwest::Url::parse(&format!("http://127.0.0.1{path}"));
        match url {
            Ok(url) if url.path() == "/callback" => {
                say(&mut stream, "200 OK", "You can close this page and go back to the command line.").await;
                return Ok(url);
            }
            _ => say(&mut stream, "404 Not Found", "There is nothing here.").await,
        }
    }
}

/// The path that a browser asks for.
async fn path(stream: &mut TcpStream) -> anyhow::Result<String> {
    let mut head = vec![];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let mut part = [0; 1024];
        let read = stream.read(&mut part).await?;
        if read == 0 || head.len() + read > REQUEST_BYTES_MAX {
            bail!("that is no request");
        }
        head.extend_from_slice(&part[..read]);
    }
    let head = String::from_utf8_lossy(&head);
    let mut words = head.split(' ');
    match (words.next(), words.next()) {
        (Some("GET"), Some(path)) if path.starts_with('/') => Ok(path.to_owned()),
        _ => bail!("that is no request"),
    }
}

async fn say(stream: &mut TcpStream, status: &str, text: &str) {
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
         connection: close\r\n\r\n{text}",
        text.len()
    );
    // A browser that went away needs no answer.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// RFC 8628: somebody types a code in elsewhere.
async fn by_device(server: &Server, scope: &str) -> anyhow::Result<Value> {
    let begun = post(&server.device, &[("client_id", CLIENT), ("scope", scope)]).await?;
    let text = |field: &str| begun[field].as_str().map(str::to_owned).ok_or_else(|| refused(&server.device, &begun));
    let (code, shown, at) = (text("device_code")?, text("user_code")?, text("verification_uri")?);
    eprintln!("Open {at} in a browser, and type in\n\n  {shown}\n");
    let mut pause = Duration::from_secs(begun["interval"].as_u64().unwrap_or(5));
    let form = [("grant_type", DEVICE_GRANT), ("device_code", &code), ("client_id", CLIENT)];
    let asked = async {
        loop {
            sleep(pause).await;
            let answer = post(&server.token, &form).await?;
            match answer["error"].as_str() {
                Some("authorization_pending") => {}
                Some("slow_down") => pause += Duration::from_secs(5),
                _ => return Ok(answer),
            }
        }
    };
    timeout(PATIENCE, asked).await.context("nobody typed the code in in time")?
}

/// Opens an address in the user's browser. Says whether there is one that took it.
fn open(address: &str) -> bool {
    let chosen = std::env::var("BROWSER").ok().filter(|browser| !browser.is_empty());
    let programs = chosen.iter().map(String::as_str).chain(["xdg-open", "open"]);
    for program in programs {
        let mut command = std::process::Command::new(program);
        let quiet = std::process::Stdio::null;
        if command.arg(address).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn().is_ok() {
            return true;
        }
    }
    false
}

/// Words nobody can guess: 43 characters of base64url.
fn fresh() -> String {
    let halves = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes).concat();
    URL_SAFE_NO_PAD.encode(digest(&SHA256, &halves))
}
