use std::io::{BufRead, BufReader};
use std::net::TcpListener as Reserved;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use cairn_contract::Contract;
use cairn_gateway::{Config, Gateway, Origin};
use cairn_service::outgoing::{self, Balance};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::suite::{KEY, Suite};
use super::{Args, cpu, relay};

const CLIENTS: &str = "32";
/// So many that processor time, which is counted in hundredths of a second, is known well.
const CALLS: usize = 100_000;

/// Small requests that are only passed on: by the gateway, which makes JSON of them, and by nginx.
pub async fn measure(folder: &Path, args: &Args) -> anyhow::Result<()> {
    if !args.h2load.exists() {
        println!("\nno h2load: proxying is not measured");
        return Ok(());
    }
    println!("\n{:<52} {:>10} {:>14}", "small requests passed on to another process", "µs each", "a core, each s");
    let mut nginx = None;
    if args.nginx.exists() {
        let (cost, _kept) = beside(folder, args)?;
        row("nginx, HTTP/1.1 to HTTP/1.1", cost, None);
        nginx = Some(cost);
    }
    let stub = Stub::start()?;
    let balance = Balance::new(&outgoing::Config::default(), &[format!("http://127.0.0.1:{}", stub.port)])?;
    let suite = Suite::open(&folder.join("proxying"), &[]).await?;
    let contract = Contract::embedded().map_err(|faults| anyhow!("{faults}"))?;
    let gateway =
        Gateway::new(Config::default(), contract, Arc::clone(&suite.core.deps.access), balance, Origin::default())
            .map_err(|problems| anyhow!("{problems:?}"))?;
    let (http, grpc) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
    let (http_at, grpc_at) = (http.local_addr()?, grpc.local_addr()?);
    let stop = CancellationToken::new();
    let (edge, token) = (gateway.clone(), stop.clone());
    tokio::spawn(async move { edge.serve_http(http, token).await });
    let token = stop.clone();
    tokio::spawn(async move { gateway.serve_grpc(grpc, token).await });

    let message = folder.join("message");
    // A frame with GetProjectRequest { name: "projects/default" }.
    std::fs::write(&message, b"\0\0\0\0\x12\x0a\x10projects/default")?;
    let message = message.display().to_string();
    let rest = format!("http://{http_at}/api/v1/projects/default");
    let call = format!("http://{grpc_at}/cairn.auth.v1.ProjectService/GetProject");
    let of_grpc = ["-d", &message, "-H", "content-type: application/grpc", "-H", "te: trailers"];
    let least = TcpListener::bind("127.0.0.1:0").await?;
    let relayed = format!("http://{}/cairn.auth.v1.ProjectService/GetProject", least.local_addr()?);
    tokio::spawn(relay::serve(least, stub.port, stop.clone()));
    for (what, flags, url) in [
        ("HTTP/2 to HTTP/2 by the same libraries, and no more", &of_grpc[..], &relayed),
        ("the gateway, REST over HTTP/1.1 to gRPC", &["--h1"][..], &rest),
        ("the gateway, REST over HTTP/2 to gRPC", &[][..], &rest),
        ("the gateway, gRPC to gRPC", &of_grpc[..], &call),
    ] {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let (h2load, url) = (args.h2load.clone(), url.clone());
        let before = cpu::own()?;
        tokio::task::spawn_blocking(move || load(&h2load, &flags, &url)).await??;
        row(what, each(cpu::own()? - before), nginx);
    }
    stop.cancel();
    suite.stop().await;
    Ok(())
}

fn row(what: &str, each: f64, nginx: Option<f64>) {
    let ratio = nginx.map(|nginx| format!("   {:.1} times nginx", each / nginx)).unwrap_or_default();
    println!("{what:<52} {each:>10.1} {:>14.0}{ratio}", 1e6 / each);
}

/// What nginx takes for a request that it passes on to another nginx.
fn beside(folder: &Path, args: &Args) -> anyhow::Result<(f64, [Server; 2])> {
    let (front, back) = (free()?, free()?);
    let behind = format!(
        "listen 127.0.0.1:{back}; location / {{ default_type application/json; return 200 '{{\"name\":\"projects/default\"}}'; }}"
    );
    let before = format!(
        "listen 127.0.0.1:{front}; location / {{ proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection ''; }}"
    );
    let upstream = format!("upstream back {{ server 127.0.0.1:{back}; keepalive 64; }}");
    let back = Server::nginx(folder, args, "back", "", &behind)?;
    let front_server = Server::nginx(folder, args, "front", &upstream, &before)?;
    std::thread::sleep(Duration::from_millis(500));
    let began = cpu::of(front_server.0.id())?;
    load(&args.h2load, &["--h1".to_owned()], &format!("http://127.0.0.1:{front}/api/v1/projects/default"))?;
    let cost = each(cpu::of(front_server.0.id())? - began);
    Ok((cost, [back, front_server]))
}

fn each(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6 / CALLS as f64
}

fn load(h2load: &Path, flags: &[String], url: &str) -> anyhow::Result<()> {
    let calls = CALLS.to_string();
    let key = format!("authorization: Bearer {KEY}");
    let done = Command::new(h2load)
        .args(["-n", &calls, "-c", CLIENTS, "-t", "1", "-H", &key])
        .args(flags)
        .arg(url)
        .output()
        .context("h2load does not start")?;
    let said = String::from_utf8_lossy(&done.stdout);
    ensure!(said.contains(&format!("{calls} 2xx")), "not every request was answered well:\n{said}");
    Ok(())
}

fn free() -> anyhow::Result<u16> {
    Ok(Reserved::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A process that ends with this.
struct Server(Child);

impl Server {
    /// One process without a master, so that its processor time is all there is.
    fn nginx(folder: &Path, args: &Args, name: &str, upstream: &str, server: &str) -> anyhow::Result<Self> {
        let home = folder.join(name);
        std::fs::create_dir_all(&home)?;
        let at = home.display();
        let text = format!(
            "daemon off; master_process off; worker_processes 1; pid {at}/pid; error_log {at}/errors;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; keepalive_requests 10000000; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;\n\
             fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n{upstream}\nserver {{ {server} }} }}\n"
        );
        std::fs::write(home.join("nginx.conf"), text)?;
        let child = Command::new(&args.nginx)
            .args(["-p", &at.to_string(), "-c", &home.join("nginx.conf").display().to_string()])
            .stderr(Stdio::null())
            .spawn()
            .context("nginx does not start")?;
        Ok(Self(child))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The process behind the gateway, so that its processor time is not the gateway's.
struct Stub {
    _server: Server,
    port: u16,
}

impl Stub {
    fn start() -> anyhow::Result<Self> {
        let mut child =
            Command::new(std::env::current_exe()?).args(["edge", "--stub"]).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("it has an output")?).lines();
        // The first lines describe the machine.
        let port = lines.find_map(|line| line.ok()?.trim().parse().ok());
        Ok(Self { _server: Server(child), port: port.context("the stub says no port")? })
    }
}
