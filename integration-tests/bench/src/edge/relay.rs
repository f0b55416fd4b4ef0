use hyper::body::Incoming;
use hyper::client::conn::http2 as client;
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper::{Request, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Passes HTTP/2 requests on to a port of this machine and does nothing else: the least that any gateway costs which
/// is built on the same libraries.
pub async fn serve(listener: TcpListener, port: u16, stop: CancellationToken) -> anyhow::Result<()> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = client::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .handshake::<_, Incoming>(TokioIo::new(stream))
        .await?;
    tokio::spawn(connection);
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            () = stop.cancelled() => return Ok(()),
        };
        stream.set_nodelay(true)?;
        let sender = sender.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            let mut sender = sender.clone();
            async move {
                let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
                let uri = format!("http://127.0.0.1:{port}{path}").parse::<Uri>();
                if let Ok(uri) = uri {
                    *request.uri_mut() = uri;
                }
                sender.send_request(request).await
            }
        });
        tokio::spawn(server::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service));
    }
}
