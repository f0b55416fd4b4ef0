//! An S3 of one's own over a folder, for tests: `s3_server FOLDER BUCKET` prints its address and serves until it is
//! ended. Knows one key, `access` with `secret`.

use hyper_util::rt::{TokioExecutor, TokioIo};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(bucket)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: s3_server FOLDER BUCKET");
        std::process::exit(2);
    };
    std::fs::create_dir_all(std::path::Path::new(&folder).join(bucket)).expect("the folder can be made");
    let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder).expect("the folder can be opened"));
    service.set_auth(SimpleAuth::from_single("access", "secret"));
    let service = service.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    println!("http://{}", listener.local_addr().expect("a listener has an address"));
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let service = service.clone();
        tokio::spawn(async move {
            let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            // A client that goes away ends its connection, nothing else.
            let _ = server.serve_connection(TokioIo::new(socket), service).await;
        });
    }
}
