use cairn_testkit::given;

use super::*;

const NOW: Time = Time::from_millis(1_800_000_000_000);
const END: Time = Time::from_millis(1_800_000_100_000);

fn name() -> SessionName {
    SessionName::stored("users/ada/sessions/ses-1")
}

fn grounds() -> Grounds {
    Grounds {
        owner: PrincipalName::stored("users/ada"),
        holder: Holder::Client,
        client: "cairn-cli".into(),
        identity_provider: "identityProviders/corp".into(),
        provider_session: String::new(),
        api_key: String::new(),
        auth_time: NOW,
        expire_time: END,
        scopes: vec![],
    }
}

fn event(change: Change) -> Event {
    Event { session: name(), change }
}

fn command(act: Act) -> Command {
    Command { session: name(), act }
}

#[test]
fn each_refresh_token_is_exchanged_for_the_next() {
    given::<Session>([event(Change::Started(grounds()))])
        .when(command(Act::Refresh { generation: 1, now: NOW }))
        .then([event(Change::Refreshed { generation: 2 })]);
}

#[test]
fn a_refresh_token_that_comes_again_ends_the_session() {
    given::<Session>([event(Change::Started(grounds())), event(Change::Refreshed { generation: 2 })])
        .when(command(Act::Refresh { generation: 1, now: NOW }))
        .then([event(Change::Revoked { cause: Cause::Reuse })]);
}

#[test]
fn nothing_is_refreshed_that_has_ended() {
    given::<Session>([event(Change::Started(grounds()))])
        .when(command(Act::Refresh { generation: 1, now: END }))
        .rejected(Rejection::SessionEnded(name()));
    given::<Session>([event(Change::Started(grounds())), event(Change::Revoked { cause: Cause::Logout })])
        .when(command(Act::Refresh { generation: 1, now: NOW }))
        .rejected(Rejection::SessionEnded(name()));
    given::<Session>([])
        .when(command(Act::Refresh { generation: 1, now: NOW }))
        .rejected(Rejection::SessionNotFound(name()));
}

#[test]
fn what_a_session_comes_from_makes_one_session_only() {
    given::<Session>([event(Change::Started(grounds()))])
        .when(command(Act::Start(grounds())))
        .rejected(Rejection::SessionStarted(name()));
}

#[test]
fn ending_a_session_twice_changes_nothing() {
    given::<Session>([event(Change::Started(grounds()))])
        .when(command(Act::Revoke { cause: Cause::Logout }))
        .then([event(Change::Revoked { cause: Cause::Logout })]);
    given::<Session>([event(Change::Started(grounds())), event(Change::Revoked { cause: Cause::Logout })])
        .when(command(Act::Revoke { cause: Cause::Provider }))
        .then([]);
}
