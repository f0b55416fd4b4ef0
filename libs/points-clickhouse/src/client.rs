use std::error::Error as _;
use std::time::Duration;

use cairn_points::EngineFault;
use reqwest::multipart::{Form, Part};
use reqwest::{Client as Http, RequestBuilder};

use crate::Address;
use crate::rows::STRUCTURE;

/// Longest part of the server's words that is shown.
const SAID_CHARS_MAX: usize = 300;
/// Longest wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(4);
/// How long a connection is kept without use: servers close theirs after three seconds and more.
const IDLE_MAX: Duration = Duration::from_secs(2);
/// Points of one insert that make one block, and the bytes they may have.
const BLOCK: [(&str, &str); 2] =
    [("min_insert_block_size_rows", "1048576"), ("min_insert_block_size_bytes", "1073741824")];

/// The server's numbers for what went wrong.
pub(crate) const TABLE_EXISTS: u32 = 57;
pub(crate) const UNKNOWN_TABLE: u32 = 60;
const UNKNOWN_DATABASE: u32 = 81;
/// Who we are or what we may is denied: read-only, user, password, address, database, privilege, and all in one.
const DENIED: [u32; 8] = [164, 192, 193, 194, 195, 291, 497, 516];

/// Why a statement did not do what it says.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The server refused it, under this number.
    Refused(u32, String),
    /// No answer, or not one of ClickHouse's.
    Away(String),
}

impl Fault {
    pub(crate) fn said(self) -> String {
        match self {
            Self::Refused(_, said) | Self::Away(said) => said,
        }
    }
}

impl From<Fault> for EngineFault {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(UNKNOWN_TABLE | UNKNOWN_DATABASE, _) => {
                Self::Away("its tables are not there yet".to_owned())
            }
            Fault::Refused(code, said) if DENIED.contains(&code) => Self::Unsuitable(said),
            Fault::Refused(_, said) | Fault::Away(said) => Self::Away(said),
        }
    }
}

/// Speaks HTTP with one ClickHouse.
pub(crate) struct Client {
    http: Http,
    address: Address,
}

impl Client {
    pub(crate) fn new(address: Address, patience: Duration) -> Result<Self, String> {
        let http = Http::builder().connect_timeout(CONNECT_MAX.min(patience)).timeout(patience);
        let http = http.pool_idle_timeout(IDLE_MAX).no_proxy().build().map_err(|fault| fault.to_string())?;
        Ok(Self { http, address })
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Runs a statement that works in no database.
    pub(crate) async fn run_anywhere(&self, sql: &str) -> Result<Vec<u8>, Fault> {
        self.send(self.post(&[]).body(sql.to_owned())).await
    }

    /// Runs a statement and gives the whole answer.
    pub(crate) async fn run(&self, sql: &str) -> Result<Vec<u8>, Fault> {
        self.send(self.post(&[("database", &self.address.database)]).body(sql.to_owned())).await
    }

    /// Runs a statement that reads the points sent along from a table `batch`. `alone` says it to servers that would
    /// otherwise insert with several threads, and so several blocks.
    pub(crate) async fn run_with(&self, sql: &str, batch: Vec<u8>, alone: bool) -> Result<(), Fault> {
        let told = [
            ("database", self.address.database.as_str()),
            ("query", sql),
            ("batch_format", "RowBinary"),
            ("batch_structure", STRUCTURE),
        ];
        let form = Form::new().part("batch", Part::bytes(batch).file_name("batch"));
        let one: &[(&str, &str)] = if alone { &[("max_insert_threads", "1")] } else { &[] };
        self.send(self.post(&told).query(&BLOCK).query(one).multipart(form)).await.map(drop)
    }

    fn post(&self, told: &[(&str, &str)]) -> RequestBuilder {
        self.http
            .post(self.address.base())
            .basic_auth(&self.address.user, Some(&self.address.password))
            // The status then tells how all of it went, not only its beginning.
            .query(&[("wait_end_of_query", "1")])
            .query(told)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Vec<u8>, Fault> {
        let answer = request.send().await.map_err(|fault| away(&fault))?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(|fault| away(&fault))?;
        if status.is_success() {
            return Ok(body.into());
        }
        let said = String::from_utf8_lossy(&body);
        Err(match code(&said) {
            Some(code) => Fault::Refused(code, shortened(&said)),
            None => Fault::Away(format!("answers {status}: {}", shortened(&said))),
        })
    }
}

/// The number in `Code: 60, e.displayText() = …` or `Code: 60. DB::Exception: …`.
fn code(said: &str) -> Option<u32> {
    let rest = &said[said.find("Code: ")? + "Code: ".len()..];
    rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
}

/// One line, and not the traces that some servers add.
fn shortened(said: &str) -> String {
    let line = said.split(", e.what()").next().unwrap_or_default();
    line.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SAID_CHARS_MAX).collect()
}

/// What the way there says, without the address: statements are part of it.
fn away(fault: &reqwest::Error) -> Fault {
    if fault.is_timeout() {
        return Fault::Away("no answer in time".to_owned());
    }
    let mut cause = fault.source();
    let mut text = if fault.is_connect() { "no connection" } else { "no answer" }.to_owned();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    Fault::Away(text.chars().take(SAID_CHARS_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_the_servers_number_and_first_words() {
        let old = "Code: 60, e.displayText() = DB::Exception: Table cairn.x doesn't exist., e.what() = DB::Exception";
        assert_eq!(code(old), Some(60));
        assert_eq!(shortened(old), "Code: 60, e.displayText() = DB::Exception: Table cairn.x doesn't exist.");
        assert_eq!(code("Code: 516. DB::Exception: ada: Authentication failed"), Some(516));
        assert_eq!(code("Port 9000 is for clickhouse-client program.\r\nYou must use port 8123 for HTTP."), None);
        let denied = EngineFault::from(Fault::Refused(193, "wrong".to_owned()));
        assert_eq!(denied, EngineFault::Unsuitable("wrong".to_owned()));
    }
}
