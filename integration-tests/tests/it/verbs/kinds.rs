//! Every kind of resource, and how its verbs are called.

use serde_json::{Value, json};

/// A request: verb, path and body.
pub type Call = (&'static str, String, Option<Value>);

/// Where the things of one worker live. Nothing happens to these themselves.
#[derive(Clone)]
pub struct Home {
    pub worker: usize,
    pub project: String,
    pub experiment: String,
    pub run: String,
    pub model: String,
    pub account: String,
}

/// What becomes of a thing that is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// It is shown as deleted.
    Shown,
    /// It is not there, except to who deletes it again.
    Hidden,
    /// It is not there.
    Gone,
}

/// One kind of resource.
pub struct Kind {
    pub noun: &'static str,
    /// Of the home, a number never used before, its title, and a tag where it can have one.
    pub create: fn(&Home, u64, &str, &str) -> Call,
    /// Of the thing as it was shown last, and another title.
    pub update: Option<fn(&Value, &str) -> Call>,
    /// An update stores another thing in its place, also where one was deleted.
    pub replaces: bool,
    pub delete: fn(&str) -> Call,
    pub restore: Option<fn(&str) -> Call>,
    /// Path of the list, and the field its items are in.
    pub list: fn(&Home) -> (String, &'static str),
    /// The parameter that lists deleted things too.
    pub with_deleted: Option<&'static str>,
    /// The parameter that lists only what has a tag.
    pub with_tag: Option<fn(&str) -> String>,
    pub deleted: Deleted,
    /// The field that the title is in, and what is in it.
    pub titled: fn(&str) -> (&'static str, Value),
}

fn name(thing: &Value) -> &str {
    thing["name"].as_str().unwrap_or_default()
}

fn rename(field: &'static str, thing: &Value, title: &str) -> Call {
    let name = name(thing);
    ("PATCH", format!("/api/v1/{name}?update_mask={field}"), Some(json!({field: title})))
}

fn delete(name: &str) -> Call {
    ("DELETE", format!("/api/v1/{name}"), None)
}

fn restore(name: &str) -> Call {
    ("POST", format!("/api/v1/{name}:restore"), Some(json!({})))
}

fn tag_filter(tag: &str) -> String {
    format!("filter=tags.kind%20%3D%20'{tag}'")
}

/// All of them.
pub const KINDS: &[Kind] = &[
    Kind {
        noun: "project",
        create: |home, number, title, _| {
            let body = json!({"project_id": format!("w{}-{number}", home.worker), "project": {"title": title}});
            ("POST", "/api/v1/projects".into(), Some(body))
        },
        update: Some(|thing, title| rename("title", thing, title)),
        replaces: false,
        delete,
        restore: Some(restore),
        list: |_| ("/api/v1/projects?".into(), "projects"),
        with_deleted: Some("show_deleted=true"),
        with_tag: None,
        deleted: Deleted::Shown,
        titled: |title| ("title", json!(title)),
    },
    Kind {
        noun: "user",
        create: |_, _, title, _| ("POST", "/api/v1/users".into(), Some(json!({"user": {"display_name": title}}))),
        update: Some(|thing, title| rename("display_name", thing, title)),
        replaces: false,
        delete,
        restore: None,
        list: |_| ("/api/v1/users?".into(), "users"),
        with_deleted: None,
        with_tag: None,
        deleted: Deleted::Shown,
        titled: |title| ("display_name", json!(title)),
    },
    Kind {
        noun: "service account",
        create: |home, number, title, _| {
            let id = format!("w{}-{number}", home.worker);
            let body = json!({"service_account_id": id, "service_account": {"title": title}});
            ("POST", "/api/v1/serviceAccounts".into(), Some(body))
        },
        update: Some(|thing, title| rename("title", thing, title)),
        replaces: false,
        delete,
        restore: None,
        list: |_| ("/api/v1/serviceAccounts?".into(), "service_accounts"),
        with_deleted: None,
        with_tag: None,
        deleted: Deleted::Shown,
        titled: |title| ("title", json!(title)),
    },
    // A key is renewed rather than changed, and revoked rather than deleted.
    Kind {
        noun: "key",
        create: |home, _, title, _| {
            ("POST", format!("/api/v1/{}/apiKeys", home.account), Some(json!({"api_key": {"title": title}})))
        },
        update: Some(|thing, _| ("POST", format!("/api/v1/{}:rotate", name(thing)), Some(json!({})))),
        replaces: false,
        delete: |name| ("POST", format!("/api/v1/{name}:revoke"), Some(json!({}))),
        restore: None,
        list: |home| (format!("/api/v1/{}/apiKeys?", home.account), "api_keys"),
        with_deleted: Some("show_revoked=true"),
        with_tag: None,
        deleted: Deleted::Shown,
        titled: |_| ("bootstrap", Value::Null),
    },
    // What a binding says is never changed.
    Kind {
        noun: "binding",
        create: |home, number, title, _| {
            let resource = format!("{}/experiments/{number}", home.project);
            let binding =
                json!({"principal": home.account, "role": "roles/viewer", "resource": resource, "reason": title});
            ("POST", "/api/v1/bindings".into(), Some(json!({"binding": binding})))
        },
        update: None,
        replaces: false,
        delete,
        restore: None,
        list: |home| (format!("/api/v1/bindings?principal={}&", home.account), "bindings"),
        with_deleted: None,
        with_tag: None,
        deleted: Deleted::Shown,
        titled: |title| ("reason", json!(title)),
    },
    Kind {
        noun: "experiment",
        create: |home, _, title, tag| {
            let body = json!({"display_name": title, "tags": {"kind": tag}});
            ("POST", format!("/api/v1/{}/experiments", home.project), Some(body))
        },
        update: Some(|thing, title| rename("display_name", thing, title)),
        replaces: false,
        delete,
        restore: Some(restore),
        list: |home| (format!("/api/v1/{}/experiments?", home.project), "experiments"),
        with_deleted: Some("show_deleted=true"),
        with_tag: Some(tag_filter),
        deleted: Deleted::Shown,
        titled: |title| ("display_name", json!(title)),
    },
    Kind {
        noun: "run",
        create: |home, _, title, tag| {
            let body = json!({"display_name": title, "tags": {"kind": tag}});
            ("POST", format!("/api/v1/{}/runs", home.experiment), Some(body))
        },
        update: Some(|thing, title| rename("display_name", thing, title)),
        replaces: false,
        delete,
        restore: Some(restore),
        list: |home| (format!("/api/v1/{}/runs?", home.experiment), "runs"),
        with_deleted: Some("show_deleted=true"),
        with_tag: Some(tag_filter),
        deleted: Deleted::Shown,
        titled: |title| ("display_name", json!(title)),
    },
    // A logged model keeps its name; its tags change.
    Kind {
        noun: "logged model",
        create: |home, _, title, tag| {
            let body = json!({"display_name": "model", "tags": {"kind": tag, "title": title}});
            ("POST", format!("/api/v1/{}/loggedModels", home.experiment), Some(body))
        },
        update: Some(|thing, title| {
            ("POST", format!("/api/v1/{}:setTags", name(thing)), Some(json!({"tags": {"title": title}})))
        }),
        replaces: false,
        delete,
        restore: None,
        list: |home| (format!("/api/v1/{}/loggedModels?", home.experiment), "logged_models"),
        with_deleted: None,
        with_tag: Some(tag_filter),
        deleted: Deleted::Hidden,
        titled: |title| ("tags.title", json!(title)),
    },
    Kind {
        noun: "registered model",
        create: |home, _, title, tag| {
            let body = json!({"display_name": title, "tags": {"kind": tag}});
            ("POST", format!("/api/v1/{}/models", home.project), Some(body))
        },
        update: Some(|thing, title| rename("display_name", thing, title)),
        replaces: false,
        delete,
        restore: None,
        list: |home| (format!("/api/v1/{}/models?", home.project), "registered_models"),
        with_deleted: None,
        with_tag: Some(tag_filter),
        deleted: Deleted::Gone,
        titled: |title| ("display_name", json!(title)),
    },
    Kind {
        noun: "model version",
        create: |home, _, title, tag| {
            let body = json!({"model_version": {"description": title, "tags": {"kind": tag}}});
            ("POST", format!("/api/v1/{}/versions", home.model), Some(body))
        },
        update: Some(|thing, title| rename("description", thing, title)),
        replaces: false,
        delete,
        restore: None,
        list: |home| (format!("/api/v1/{}/versions?", home.model), "model_versions"),
        with_deleted: None,
        with_tag: Some(tag_filter),
        deleted: Deleted::Gone,
        titled: |title| ("description", json!(title)),
    },
    // An artifact is replaced by storing another under its path.
    Kind {
        noun: "artifact",
        create: |home, number, title, tag| {
            ("PUT", format!("/api/v1/{}/files/{tag}/{number}.json", home.run), Some(json!(title)))
        },
        update: Some(|thing, title| {
            let (run, _) = name(thing).split_once("/artifacts/").unwrap_or_default();
            let path = thing["path"].as_str().unwrap_or_default();
            ("PUT", format!("/api/v1/{run}/files/{path}"), Some(json!(title)))
        }),
        replaces: true,
        delete,
        restore: None,
        list: |home| (format!("/api/v1/{}/artifacts?", home.run), "artifacts"),
        with_deleted: None,
        with_tag: Some(|tag| format!("folder={tag}")),
        deleted: Deleted::Gone,
        // With the quotation marks of a JSON text.
        titled: |title| ("size_bytes", json!((title.len() + 2).to_string())),
    },
];
