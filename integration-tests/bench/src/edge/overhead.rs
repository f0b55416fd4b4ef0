use std::path::Path;

use anyhow::ensure;
use cairn_contract::cairn::auth::v1::GetProjectRequest;
use cairn_contract::cairn::auth::v1::project_service_client::ProjectServiceClient;
use cairn_service::Listening;
use http_body_util::BodyExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use super::cpu;
use super::suite::{KEY, Suite, signed};

/// What one call costs a service that is called directly, and through the gateway.
pub async fn measure(folder: &Path, calls: usize) -> anyhow::Result<()> {
    let suite = Suite::open(folder, &[]).await?;
    let asked = || GetProjectRequest { name: "projects/default".into(), ..Default::default() };

    println!("\n{:<52} {:>10} {:>8}", "processor time of a call (GetProject)", "µs", "ratio");
    let token = suite.token()?;
    let direct = cost(calls, async || {
        let mut client = ProjectServiceClient::new(suite.services.clone());
        client.get_project(signed(asked(), &token)).await?;
        Ok(())
    })
    .await?;
    println!("{:<52} {direct:>10.1}", "the service, in this process");
    let rest = cost(calls, async || {
        let answer = suite.rest("GET", "/api/v1/projects/default", "").await?;
        ensure!(answer.status().is_success(), "{}", answer.status());
        answer.into_body().collect().await?;
        Ok(())
    })
    .await?;
    println!("{:<52} {rest:>10.1} {:>8.2}", "REST through the gateway, in this process", rest / direct);

    // The client's share is in both.
    let stop = CancellationToken::new();
    let (services, direct_at) = (suite.services.clone(), listener().await?);
    let (gateway, gateway_at) = (suite.gateway.clone(), listener().await?);
    let addresses = (direct_at.local_addr()?, gateway_at.local_addr()?);
    let (one, two) = (stop.clone(), stop.clone());
    tokio::spawn(async move { services.serve(direct_at, &Listening::default(), None, one).await });
    tokio::spawn(async move { gateway.serve_grpc(gateway_at, two).await });
    let connect = async |address| -> anyhow::Result<ProjectServiceClient<Channel>> {
        Ok(ProjectServiceClient::new(Endpoint::from_shared(format!("http://{address}"))?.connect().await?))
    };
    let (direct, through) = (connect(addresses.0).await?, connect(addresses.1).await?);
    let token = suite.token()?;
    let direct = cost(calls, async || {
        direct.clone().get_project(signed(asked(), &token)).await?;
        Ok(())
    })
    .await?;
    println!("{:<52} {direct:>10.1}", "gRPC to the service, over a socket, with the client");
    let through = cost(calls, async || {
        let mut request = tonic::Request::new(asked());
        request.metadata_mut().insert("authorization", format!("Bearer {KEY}").parse()?);
        through.clone().get_project(request).await?;
        Ok(())
    })
    .await?;
    println!("{:<52} {through:>10.1} {:>8.2}", "gRPC through the gateway, the same", through / direct);
    stop.cancel();
    suite.stop().await;
    Ok(())
}

/// Processor time of one call, in microseconds.
async fn cost(calls: usize, call: impl AsyncFn() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    for _ in 0..calls / 10 {
        call().await?;
    }
    let before = cpu::own()?;
    for _ in 0..calls {
        call().await?;
    }
    Ok((cpu::own()? - before).as_secs_f64() * 1e6 / calls as f64)
}

async fn listener() -> anyhow::Result<TcpListener> {
    Ok(TcpListener::bind("127.0.0.1:0").await?)
}
