use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};

/// A receiver of webhooks: it answers as it was told to, and tells what it got.
pub struct Sink {
    pub url: String,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    heard: mpsc::UnboundedReceiver<Heard>,
}

/// How one request is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    Status(u16, String),
    /// With a redirect to there.
    To(String),
    /// The connection is closed without a word.
    Nothing,
    /// It waits for ever.
    Silence,
}

/// What came in.
#[derive(Clone, Debug)]
pub struct Heard {
    pub headers: Vec<(String, String)>,
    pub bytes: Vec<u8>,
}

impl Heard {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub fn body(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }
}

impl Sink {
    /// Takes everything, but for what it is told to do otherwise, in that order.
    pub async fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}/in/canary-path", listener.local_addr().unwrap().port());
        let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
        let (told, heard) = mpsc::unbounded_channel();
        let queue = Arc::clone(&answers);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&queue), told.clone()));
            }
        });
        Self { url, answers, heard }
    }

    pub async fn answer(&self, answer: Answer) {
        self.answers.lock().await.push_back(answer);
    }

    /// The next request.
    pub async fn next(&mut self) -> Heard {
        self.heard.recv().await.unwrap()
    }

    /// Whether nothing more came in so far.
    pub fn is_quiet(&mut self) -> bool {
        self.heard.try_recv().is_err()
    }
}

async fn serve(
    socket: TcpStream,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    told: mpsc::UnboundedSender<Heard>,
) -> Option<()> {
    let mut socket = BufReader::new(socket);
    loop {
        let (mut headers, mut line) = (vec![], String::new());
        socket.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        loop {
            line.clear();
            socket.read_line(&mut line).await.ok()?;
            let Some((key, value)) = line.trim().split_once(": ") else { break };
            headers.push((key.to_lowercase(), value.to_owned()));
        }
        let length = headers.iter().find(|(key, _)| key == "content-length").map_or("0", |(_, value)| value);
        let mut bytes = vec![0; length.parse().ok()?];
        socket.read_exact(&mut bytes).await.ok()?;
        let answer = answers.lock().await.pop_front().unwrap_or(Answer::Status(200, String::new()));
        told.send(Heard { headers, bytes }).ok()?;
        let (status, extra, body) = match answer {
            Answer::Status(status, body) => (status, String::new(), body),
            Answer::To(place) => (302, format!("location: {place}\r\n"), String::new()),
            Answer::Nothing => return None,
            Answer::Silence => std::future::pending().await,
        };
        let head = format!("HTTP/1.1 {status} X\r\n{extra}content-length: {}\r\n\r\n", body.len());
        socket.write_all(format!("{head}{body}").as_bytes()).await.ok()?;
    }
}
