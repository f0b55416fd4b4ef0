//! The past on demand: whatever was answered once is answered again, by anybody who names the moment.

use std::collections::BTreeSet;
use std::path::Path;

use cairn::suite::Engines;
use cairn_contract::Contract;
use cairn_eventstore::{Direction, Filter};
use cairn_kernel::Position;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::suite::Suite;

/// Methods that answer as of now alone, and why.
const OF_NOW: [(&str, &str); 8] = [
    ("GetRunLog", "lines of runs are kept beside the log of events"),
    ("ListRunLogLines", "lines of runs are kept beside the log of events"),
    ("ListHookDeliveries", "what was delivered is kept beside the log of events"),
    ("ListModelVersionArtifacts", "are kept as they were when the version was registered"),
    ("ListModelNotes", "tells every state with its time already"),
    ("ListFunctionRevisions", "tells every state with its time already"),
    ("GetFunctionVersion", "is published once and never changes"),
    ("ListFunctionVersions", "are published once and never change"),
];

#[test]
fn every_get_and_list_of_auth_experiments_and_registry_can_be_asked_as_of_a_moment() {
    let exempt: BTreeSet<_> = OF_NOW.iter().map(|(method, _)| *method).collect();
    let mut complaints = vec![];
    let mut found = 0;
    for method in Contract::embedded().unwrap().methods() {
        let is_ours = ["cairn.auth.v1.", "cairn.experiments.v1.", "cairn.registry.v1."];
        let name = method.name.as_str();
        let asks = is_ours.iter().any(|package| method.service.starts_with(package))
            && (name.starts_with("Get") || name.starts_with("List"));
        if !asks || exempt.contains(name) {
            continue;
        }
        found += 1;
        if method.input().get_field_by_name("as_of").is_none() {
            complaints.push(method.path.clone());
        }
    }
    assert!(found > 25, "only {found} methods");
    assert!(complaints.is_empty(), "have no as_of: {complaints:?}");
}

/// A sequence that looks random and is the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, count: usize) -> usize {
        // Knuth's linear congruence; its high bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % count as u64) as usize
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        (!all.is_empty()).then(|| &all[self.below(all.len())])
    }
}

/// Somebody who does this and that, and remembers what everything is called.
struct Workload<'a> {
    suite: &'a Suite,
    chance: Chance,
    made: Vec<String>,
    step: usize,
}

impl Workload<'_> {
    /// Names made so far whose kind is the one before their last part.
    fn some(&mut self, kind: &str) -> String {
        let of_kind: Vec<String> =
            self.made.iter().filter(|name| name.rsplit('/').nth(1) == Some(kind)).cloned().collect();
        self.chance.of(&of_kind).cloned().unwrap_or_else(|| format!("projects/default/{kind}/none"))
    }

    async fn act(&mut self, verb: &str, path: &str, body: Value) {
        let path = format!("/api/v1/{path}");
        let body = (verb != "DELETE").then_some(body);
        let answer = self.suite.send(verb, &path, body.as_ref(), Some(&self.suite.admin), "").await;
        let status = answer.status();
        let answer: Value = answer.json().await.unwrap_or_default();
        // What was made, or a refusal: that what is deleted cannot be changed is part of life.
        assert!(!status.is_server_error(), "{verb} {path}: {status} {answer}");
        if let Some(name) = answer["name"].as_str().filter(|_| status.is_success())
            && !self.made.iter().any(|made| made == name)
        {
            self.made.push(name.to_owned());
        }
    }

    async fn next(&mut self) {
        let at = self.step;
        self.step += 1;
        let [experiment, run, model, version, logged] =
            ["experiments", "runs", "models", "versions", "loggedModels"].map(|kind| self.some(kind));
        let [account, user, key, binding, promotion, project] =
            ["serviceAccounts", "users", "apiKeys", "bindings", "promotions", "projects"].map(|kind| self.some(kind));
        let number = version.rsplit('/').next().and_then(|number| number.parse::<u32>().ok()).unwrap_or(1);
        let (text, flag) = (format!("text {at}"), self.chance.below(2) == 0);
        let [organization, group, role] = ["organizations", "groups", "roles"].map(|kind| self.some(kind));
        let member = json!({"members": [if flag { &account } else { &user }]});
        match self.chance.below(42) {
            34 => self.act("POST", "organizations", json!({"organization_id": format!("o{at}")})).await,
            35 if flag => self.act("PATCH", &organization, json!({"title": text})).await,
            35 => self.act("DELETE", &organization, json!({})).await,
            36 => self.act("POST", &format!("{organization}/groups"), json!({"group_id": format!("g{at}")})).await,
            37 => self.act("POST", &format!("{group}:addMembers"), member).await,
            38 if flag => self.act("POST", &format!("{group}:removeMembers"), member).await,
            38 => self.act("PATCH", &group, json!({"external_id": text})).await,
            39 => {
                let made = json!({"role_id": format!("r{at}"), "role": {"permissions": ["experiments.runs.get"]}});
                self.act("POST", &format!("{organization}/roles"), made).await;
            }
            40 if flag => self.act("DELETE", &role, json!({})).await,
            40 => self.act("PATCH", &role, json!({"description": text})).await,
            41 if flag => {
                let denial = json!({"principal": account, "effect": "EFFECT_DENY", "role": "roles/editor"});
                self.act("POST", "projects/default:grant", denial).await;
            }
            41 => self.act("POST", &format!("{project}:classify"), json!({"tags": {"tier": format!("t{at}")}})).await,
            0 | 1 => self.act("POST", "projects/default/experiments", json!({"display_name": text})).await,
            2 => self.act("PATCH", &experiment, json!({"display_name": text})).await,
            3 if flag => self.act("DELETE", &experiment, json!({})).await,
            3 => self.act("POST", &format!("{experiment}:restore"), json!({})).await,
            4..=6 => self.act("POST", &format!("{experiment}/runs"), json!({"display_name": text})).await,
            7..=10 => {
                let metrics: Vec<_> = (0..1 + self.chance.below(40))
                    .map(|step| json!({"key": "loss", "value": at as f64 / 7.0, "step": step, "time": null}))
                    .collect();
                let batch = json!({"metrics": metrics, "params": {format!("p{at}"): text}, "tags": {"team": text}});
                self.act("POST", &format!("{run}:logBatch"), batch).await;
            }
            11 => self.act("POST", &format!("{run}:finish"), json!({})).await,
            12 if flag => self.act("DELETE", &run, json!({})).await,
            12 => self.act("POST", &format!("{run}:restore"), json!({})).await,
            13 => self.act("POST", &format!("{experiment}/loggedModels"), json!({"display_name": text})).await,
            14 => self.act("POST", &format!("{logged}:setTags"), json!({"tags": {"a": text}})).await,
            15 => self.act("PUT", &format!("{run}/files/notes-{}.txt", at % 3), json!(text)).await,
            16 => self.act("POST", "projects/default/models", json!({"registered_model_id": format!("m{at}")})).await,
            17..=19 => self.act("POST", &format!("{model}/versions"), json!({"description": text})).await,
            20 => self.act("POST", &format!("{model}:setAlias"), json!({"alias": "champion", "version": number})).await,
            21 => self.act("POST", &format!("{version}:transition"), json!({"stage": "PRODUCTION"})).await,
            22 => self.act("POST", &format!("{version}:setTags"), json!({"tags": {"a": text}})).await,
            23 if flag => self.act("DELETE", &version, json!({})).await,
            23 => self.act("PATCH", &model, json!({"description": text})).await,
            24 => {
                let moves = json!([{"version": number, "alias": "champion"}]);
                self.act("POST", &format!("{model}/promotions"), json!({"moves": moves, "comment": text})).await;
            }
            25 => self.act("POST", &format!("{promotion}:reject"), json!({"comment": text})).await,
            26 => {
                let policy = format!("{}/promotionPolicies/default", if flag { &model } else { "projects/default" });
                let terms = json!({"protected_aliases": ["champion"], "approvals_required": 1 + at % 2});
                self.act("PATCH", &policy, json!({"terms": terms})).await;
            }
            27 => self.act("POST", "serviceAccounts", json!({"service_account_id": format!("s{at}")})).await,
            28 => self.act("POST", &format!("{account}:{}", if flag { "disable" } else { "enable" }), json!({})).await,
            29 => self.act("POST", &format!("{account}/apiKeys"), json!({"api_key": {"title": text}})).await,
            30 => self.act("POST", &format!("{key}:revoke"), json!({})).await,
            31 if flag => self.act("DELETE", &binding, json!({})).await,
            31 => {
                let binding = json!({"principal": account, "role": "roles/viewer", "resource": "projects/default"});
                self.act("POST", "bindings", json!({"binding": binding})).await;
            }
            32 if flag => self.act("POST", "projects", json!({"project_id": format!("p-{at}")})).await,
            32 => self.act("PATCH", &project, json!({"title": text})).await,
            _ if flag => self.act("POST", "users", json!({"user": {"display_name": text}})).await,
            _ => self.act("POST", &format!("{user}:disable"), json!({})).await,
        }
    }

    /// Everything that can be asked about what there is.
    fn questions(&self) -> Vec<String> {
        let mut asked: Vec<String> = [
            "organizations?show_deleted=true",
            "projects?show_deleted=true",
            "projects?parent=organizations/default",
            "users",
            "serviceAccounts",
            "bindings",
            "projects/default/experiments?show_deleted=true&page_size=3",
            "projects/default/runs?show_deleted=true&page_size=5",
            "projects/default/runs?order_by=metrics.loss%20DESC&filter=tags.team%20LIKE%20%27text%25%27",
            "projects/default/runs?order_by=attributes.run_name",
            "projects/default/loggedModels",
            "projects/default/models",
            "projects/default/modelVersions?order_by=last_updated_timestamp%20DESC",
            "projects/default:summarizeRegistry",
            "projects/default/promotionPolicies/default",
        ]
        .map(str::to_owned)
        .to_vec();
        for name in &self.made {
            asked.push(name.clone());
            match name.rsplit('/').nth(1) {
                Some("experiments") => asked.extend(["runs", "revisions"].map(|list| format!("{name}/{list}"))),
                Some("runs") => {
                    let lists = ["metricPoints?metric=loss", "metricPoints:sample?metrics=loss", "artifacts"];
                    asked.extend(lists.map(|list| format!("{name}/{list}")));
                }
                Some("models") => {
                    let lists = ["/versions", "/promotions", "/promotionPolicies/default", ":resolve?alias=champion"];
                    asked.extend(lists.map(|list| format!("{name}{list}")));
                }
                Some("organizations") => {
                    asked.extend(
                        ["groups", "roles", "projects", "breakGlassActivations"].map(|list| format!("{name}/{list}")),
                    );
                }
                Some("groups") => asked.push(format!("{name}/members")),
                Some("serviceAccounts" | "users") => asked.push(format!("{name}/apiKeys?show_revoked=true")),
                _ => {}
            }
        }
        asked
    }
}

/// What was answered to a question, and where the log ended then.
struct Seen {
    path: String,
    position: Position,
    answer: (StatusCode, Value),
}

/// Asks as an administrator. Who a person is is told as of now, so it is left out.
async fn ask(suite: &Suite, path: &str) -> (StatusCode, Value) {
    let answer = suite.send("GET", &format!("/api/v1/{path}"), None, Some(&suite.admin), "").await;
    let status = answer.status();
    let mut answer: Value = answer.json().await.unwrap();
    if !status.is_success() {
        return (status, answer["error"]["details"][0]["reason"].clone());
    }
    fn impersonal(value: &mut Value, path: &str) {
        if let Some(users) = value["users"].as_array_mut() {
            users.iter_mut().for_each(|user| impersonal(user, "users/"));
        }
        if path.starts_with("users/")
            && let Some(user) = value.as_object_mut()
        {
            user.remove("display_name");
            user.remove("email");
        }
    }
    impersonal(&mut answer, path);
    (status, answer)
}

/// Asks until nothing happens meanwhile but records of the asking.
async fn observe(suite: &Suite, path: &str) -> Seen {
    loop {
        let before = suite.head();
        let answer = ask(suite, path).await;
        let after = suite.head();
        let page = suite.store().read_all(before, Direction::Forwards, &Filter::all(), 1000).await.unwrap();
        let meanwhile = page.events.iter().filter(|event| event.position <= after);
        if meanwhile.into_iter().all(|event| event.kind.starts_with("cairn.ledger.")) {
            return Seen { path: path.to_owned(), position: before, answer };
        }
    }
}

async fn assert_same(suite: &Suite, seen: &[Seen]) {
    let mut complaints = vec![];
    for Seen { path, position, answer } in seen {
        let sign = if path.contains('?') { '&' } else { '?' };
        let again = ask(suite, &format!("{path}{sign}as_of={position}")).await;
        if again != *answer {
            complaints.push(format!("{path} as of {position}:\n  then {answer:?}\n  now  {again:?}"));
        }
    }
    let first = complaints.iter().take(3).cloned().collect::<Vec<_>>().join("\n");
    assert!(complaints.is_empty(), "{} complaints:\n{first}", complaints.len());
}

/// Does this and that, and asks after each step.
async fn live(suite: &Suite) -> Vec<Seen> {
    let mut workload = Workload { suite, chance: Chance(7), made: vec![], step: 0 };
    let mut seen = vec![];
    for step in 0..200 {
        workload.next().await;
        let questions = workload.questions();
        for _ in 0..5 {
            let path = workload.chance.of(&questions).unwrap().clone();
            seen.push(observe(suite, &path).await);
        }
        // Now and then everything.
        if step % 40 == 39 {
            for path in &questions {
                seen.push(observe(suite, path).await);
            }
        }
    }
    seen
}

/// A suite in a runtime of its own, so that nothing of it is left afterwards.
fn in_a_suite<T>(folder: &Path, act: impl AsyncFnOnce(&Suite) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let suite = Suite::at(folder, "sqlite", &Engines::default()).await;
        let done = act(&suite).await;
        suite.stop().await;
        done
    })
}

#[test]
fn whatever_was_answered_once_is_answered_again_as_of_its_position() {
    let folder = tempfile::tempdir().unwrap();
    let seen = in_a_suite(folder.path(), async |suite| {
        let seen = live(suite).await;
        let answered = seen.iter().filter(|one| one.answer.0 == StatusCode::OK).count();
        assert!(answered > 500 && answered < seen.len(), "{answered} of {} answered", seen.len());
        assert_same(suite, &seen).await;
        seen
    });
    // From the log alone: what was kept of the past is lost.
    std::fs::remove_dir_all(folder.path().join("views")).unwrap();
    in_a_suite(folder.path(), async |suite| assert_same(suite, &seen).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moment_is_a_time_or_a_position_that_has_been() {
    let suite = Suite::start().await;
    let model = json!({"registered_model_id": "m", "description": "first"});
    let made = suite.ask("POST", "/api/v1/projects/default/models", Some(&model)).await;
    let made_at = made["create_time"].as_str().unwrap().to_owned();
    let position = suite.head();
    suite.ask("PATCH", "/api/v1/projects/default/models/m", Some(&json!({"description": "second"}))).await;
    suite.ask("DELETE", "/api/v1/projects/default/models/m", None).await;
    let path = "projects/default/models/m";
    assert_eq!(ask(&suite, path).await.0, StatusCode::NOT_FOUND);
    for moment in [made_at, position.to_string()] {
        let (status, found) = ask(&suite, &format!("{path}?as_of={moment}")).await;
        assert_eq!((status, &found["description"]), (StatusCode::OK, &json!("first")), "{moment}");
    }
    assert_eq!(ask(&suite, &format!("{path}?as_of=2020-01-01T00:00:00Z")).await.0, StatusCode::NOT_FOUND);
    for (moment, reason) in [
        ("yesterday", "VALIDATION_ERROR"),
        ("2999-01-01T00:00:00Z", "AS_OF_AHEAD"),
        ("18446744073709551615", "AS_OF_AHEAD"),
    ] {
        let refused = ask(&suite, &format!("{path}?as_of={moment}")).await;
        assert_eq!(refused, (StatusCode::BAD_REQUEST, json!(reason)), "{moment}");
    }
    suite.stop().await;
}
