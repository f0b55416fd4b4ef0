//! Holds an S3 to the rules of every store: `s3_conformance ENDPOINT BUCKET` prints each rule and whether it holds, and
//! ends with 1 if one does not. The key is `AWS_ACCESS_KEY_ID` with `AWS_SECRET_ACCESS_KEY`; each rule works below a
//! prefix of its own, and what it puts there stays.

#[path = "../tests/it/conformance.rs"]
#[allow(clippy::unwrap_used)]
mod conformance;

use cairn_objects::{Key, S3, S3Settings};
use uuid::Uuid;

/// Tries each rule, and gives how many do not hold.
macro_rules! try_rules {
    ($open:expr; $($rule:ident),+) => {{
        let mut broken = 0;
        $(
            let store = $open.await;
            // Rules panic where they do not hold, and say why on standard error.
            let is_kept = tokio::spawn(async move { conformance::$rule(&store).await }).await.is_ok();
            println!("{}\t{}", if is_kept { "holds" } else { "broken" }, stringify!($rule));
            broken += usize::from(!is_kept);
        )+
        broken
    }};
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(endpoint), Some(bucket)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: s3_conformance ENDPOINT BUCKET");
        std::process::exit(2);
    };
    let settings = S3Settings { endpoint: Some(endpoint), ..S3Settings::default() };
    let open = || async {
        let prefix: Key = format!("conformance/{}", Uuid::new_v4()).parse().expect("a key");
        S3::connect(&bucket, Some(prefix), &settings).await
    };
    let broken = conformance::every_store!(try_rules, open()) + conformance::beyond_the_stand_in!(try_rules, open());
    std::process::exit(i32::from(broken > 0));
}
