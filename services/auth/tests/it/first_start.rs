use std::os::unix::fs::PermissionsExt;

use cairn_access::AuthenticationFault;
use cairn_auth::{BootstrapFault, FirstKey};
use cairn_contract::cairn::auth::v1 as proto;

use crate::suite::{CHOSEN, Ground, Suite};

#[tokio::test]
async fn the_operators_own_key_lets_an_administrator_in_and_its_use_is_on_record_s1_40() {
    let suite = Suite::begun().await;
    let request = suite.by_key(CHOSEN, proto::WhoAmIRequest {});
    let me = suite.access().who_am_i(request).await.unwrap().into_inner();
    assert_eq!(me.principal, "users/admin");
    assert_eq!(me.grants[0].role, "roles/admin");
    let used = suite.hears("BootstrapKeyUsed").await;
    assert!(used.stream.as_str().ends_with(&me.key_id), "{}", used.stream);
    assert_eq!(used.metadata().principal, "services/auth");
    let stored: Vec<_> = suite.events("ApiKeyCreated").await;
    assert!(
        !stored[0].payload.windows(CHOSEN.len()).any(|window| window == CHOSEN.as_bytes()),
        "only its hash is kept"
    );
}

#[tokio::test]
async fn without_one_a_key_is_made_once_shown_once_and_kept_in_a_private_file_s1_40() {
    let ground = Ground::new();
    let suite = ground.start().await;
    let FirstKey::Made(key) = suite.bootstrap(None, false).await.unwrap() else { panic!("a key is made") };
    let file = ground.key_file();
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim_end(), key);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(suite.deps.access.authenticate(&key).unwrap().name, "users/admin");

    let again = ground.start().await;
    assert_eq!(again.bootstrap(None, false).await.unwrap(), FirstKey::Unchanged);
    assert_eq!(again.deps.access.authenticate(&key).unwrap().name, "users/admin");
}

#[tokio::test]
async fn starting_again_makes_nothing_twice() {
    let ground = Ground::new();
    assert_eq!(ground.start().await.bootstrap(Some(CHOSEN), false).await.unwrap(), FirstKey::Chosen);
    let again = ground.start().await;
    assert_eq!(again.bootstrap(Some(CHOSEN), false).await.unwrap(), FirstKey::Unchanged);
    for kind in ["ProjectCreated", "UserCreated", "RoleGranted", "ApiKeyCreated", "AdministratorAdded"] {
        assert_eq!(again.events(kind).await.len(), 1, "{kind}");
    }
}

#[tokio::test]
async fn another_operators_key_takes_the_place_of_the_one_before() {
    let ground = Ground::new();
    ground.start().await.bootstrap(Some(CHOSEN), false).await.unwrap();
    let again = ground.start().await;
    assert_eq!(again.bootstrap(Some("another-key-of-theirs"), false).await.unwrap(), FirstKey::Chosen);
    assert!(again.deps.access.authenticate("another-key-of-theirs").is_ok());
    assert_eq!(again.deps.access.authenticate(CHOSEN), Err(AuthenticationFault::Revoked));
    assert_eq!(again.bootstrap(Some(CHOSEN), false).await.unwrap(), FirstKey::Refused, "what was revoked stays so");
}

#[tokio::test]
async fn once_somebody_else_administers_a_new_bootstrap_key_is_refused_unless_allowed_s1_40() {
    let suite = Suite::begun().await;
    let ada = suite.user(None).await;
    suite.grant(&ada, "roles/admin", "*").await.unwrap();
    let new = "a-key-somebody-smuggled-in";
    assert_eq!(suite.bootstrap(Some(new), false).await.unwrap(), FirstKey::Refused);
    assert_eq!(suite.deps.access.authenticate(new), Err(AuthenticationFault::Invalid));
    assert_eq!(suite.bootstrap(Some(new), true).await.unwrap(), FirstKey::Chosen);
    assert!(suite.deps.access.authenticate(new).is_ok());
}

#[tokio::test]
async fn an_operators_key_that_is_easy_to_guess_or_unfit_for_a_header_is_refused() {
    let suite = Ground::new().start().await;
    for unfit in ["short", "fifteen-letters", "with spaces in between", "line\nbreaks-in-it-here", &"x".repeat(513)] {
        assert!(matches!(suite.bootstrap(Some(unfit), false).await, Err(BootstrapFault::Unfit)), "{unfit}");
    }
    assert_eq!(suite.bootstrap(Some("exactly-16-chars"), false).await.unwrap(), FirstKey::Chosen);
}
