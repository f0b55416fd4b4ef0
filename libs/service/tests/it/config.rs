use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use cairn_service::config::{Loaded, Problems, Registry, Secret, Sources};
use tempfile::TempDir;

cairn_service::settings! {
    /// Where callers come in.
    pub struct Edge: "edge" {
        /// Address to listen on.
        host: String = "127.0.0.1".to_owned(), env "API_HOST";
        /// Port for HTTP. 0 takes
        /// any free one.
        http_port: u16 = 3001, env "API_HTTP_PORT";
        /// Web origins that may call.
        origins: Vec<String> = vec![];
        /// Where to write a trace of connections.
        trace_file: Option<PathBuf> = None;
    }
}

cairn_service::settings! {
    /// Who may come in.
    pub struct Auth: "auth" checked by auth_problems {
        /// Key of the first administrator.
        bootstrap_key: Option<Secret> = None, env "CAIRN_API_KEY", "MLRUN_API_KEY";
        /// Lets everybody in.
        is_disabled: bool = false, env "CAIRN_AUTH_DISABLED", "MLRUN_AUTH_DISABLED";
        /// Shortest lifetime of a key, in days.
        days_min: u32 = 1;
        /// Longest lifetime of a key, in days.
        days_max: u32 = 365;
    }
}

fn auth_problems(auth: &Auth) -> Vec<String> {
    let mut problems = vec![];
    if auth.days_min > auth.days_max {
        problems.push("days_min must not exceed days_max".to_owned());
    }
    problems
}

fn registry() -> Registry {
    Registry::new().with::<Edge>().with::<Auth>()
}

/// Loads a file's text and some variables.
fn load(toml: &str, variables: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let folder = TempDir::new().unwrap();
    registry().load(&sources(&folder, toml, variables))
}

fn sources(folder: &TempDir, toml: &str, variables: &[(&str, &str)]) -> Sources {
    let file = folder.path().join("cairn.toml");
    fs::write(&file, toml).unwrap();
    Sources::new().with_file(file).with_environment(variables.iter().copied())
}

fn problems(toml: &str, variables: &[(&str, &str)]) -> Vec<String> {
    load(toml, variables).err().map(|problems| problems.0).unwrap_or_default()
}

#[test]
fn nothing_needs_to_be_configured() {
    let loaded = registry().load(&Sources::new()).unwrap();
    assert_eq!(loaded.get::<Edge>().http_port, 3001);
    assert_eq!(loaded.origin("edge", "http_port"), None);
}

#[test]
fn the_environment_counts_more_than_the_file_and_short_names_more_than_long_ones() {
    let toml = "[edge]\nhttp_port = 1\nhost = '10.0.0.1'\n";
    assert_eq!(load(toml, &[]).unwrap().get::<Edge>().http_port, 1);
    let long = [("CAIRN__EDGE__HTTP_PORT", "2")];
    assert_eq!(load(toml, &long).unwrap().get::<Edge>().http_port, 2);
    let both = [("CAIRN__EDGE__HTTP_PORT", "2"), ("API_HTTP_PORT", "3")];
    let loaded = load(toml, &both).unwrap();
    assert_eq!((loaded.get::<Edge>().http_port, loaded.get::<Edge>().host.as_str()), (3, "10.0.0.1"));
    assert_eq!(loaded.origin("edge", "http_port"), Some("environment variable API_HTTP_PORT"));
    assert!(loaded.origin("edge", "host").unwrap().ends_with("cairn.toml"));
}

#[test]
fn every_key_can_be_set_by_the_environment_alone_s1_50() {
    let values = BTreeMap::from([
        ("edge.host", "0.0.0.0"),
        ("edge.http_port", "8080"),
        ("edge.origins", "https://a.example, https://b.example"),
        ("edge.trace_file", "/tmp/trace"),
        ("auth.bootstrap_key", "0123456789abcdef"),
        ("auth.is_disabled", "true"),
        ("auth.days_min", "2"),
        ("auth.days_max", "3"),
    ]);
    let long = |key: &str| format!("CAIRN__{}", key.to_uppercase().replace('.', "__"));
    let environment = values.iter().map(|(key, value)| (long(key), *value));
    let loaded = registry().load(&Sources::new().with_environment(environment)).unwrap();
    let (edge, auth) = (loaded.get::<Edge>(), loaded.get::<Auth>());
    assert_eq!((edge.host.as_str(), edge.http_port), ("0.0.0.0", 8080));
    assert_eq!(edge.origins, ["https://a.example", "https://b.example"]);
    assert_eq!(edge.trace_file, Some("/tmp/trace".into()));
    assert_eq!((auth.is_disabled, auth.days_min, auth.days_max), (true, 2, 3));
    assert_eq!(auth.bootstrap_key.unwrap().expose(), "0123456789abcdef");
    for key in values.keys() {
        let explained = registry().explain(&loaded, key).unwrap();
        assert!(explained.contains(&long(key)), "{explained}");
        assert!(explained.contains(&format!("(environment variable {})", long(key))), "{explained}");
    }
}

#[test]
fn other_names_of_a_key_are_its_aliases() {
    let loaded = load("", &[("MLRUN_API_KEY", "0123456789abcdef"), ("MLRUN_AUTH_DISABLED", "true")]).unwrap();
    let auth = loaded.get::<Auth>();
    assert_eq!(auth.bootstrap_key.unwrap().expose(), "0123456789abcdef");
    assert!(auth.is_disabled);
    let ours_first = load("", &[("MLRUN_API_KEY", "theirs"), ("CAIRN_API_KEY", "ours")]).unwrap();
    assert_eq!(ours_first.get::<Auth>().bootstrap_key.unwrap().expose(), "ours");
}

#[test]
fn every_problem_is_reported_at_once_with_where_it_stands() {
    let toml = "[edge]\nhtpp_port = 1\nhttp_port = 'many'\n[auth]\ndays_min = 9\ndays_max = 8\n[egde]\nx = 1\n";
    let found = problems(toml, &[("CAIRN__EDGE__HOTS", "x"), ("CAIRN__AUTH__IS_DISABLED", "perhaps")]);
    let expect = |start: &str, end: &str| {
        let found = found.iter().find(|problem| problem.starts_with(start) && problem.contains(end));
        assert!(found.is_some(), "{start} … {end} is not among the problems");
    };
    expect("there is no key edge.htpp_port (in ", "cairn.toml); did you mean http_port?");
    expect("edge: invalid type: string \"many\", expected an integer for key `http_port`", "cairn.toml");
    expect("there is no section egde", "did you mean edge?");
    expect("auth.days_min must not exceed days_max", "");
    expect("CAIRN__EDGE__HOTS sets no key", "did you mean CAIRN__EDGE__HOST?");
    expect("auth: invalid type: string \"perhaps\"", "environment variable CAIRN__AUTH__IS_DISABLED");
    assert_eq!(found.len(), 6, "{found:#?}");
}

#[test]
fn values_that_only_fit_together_are_checked_together() {
    assert_eq!(problems("[auth]\ndays_min = 400\ndays_max = 500\n", &[]), [""; 0]);
}

#[test]
fn a_file_that_was_named_must_be_there_and_be_toml() {
    let missing = Sources::new().with_file("/nonexistent/cairn.toml");
    assert!(registry().load(&missing).is_err());
    let found = problems("[edge\n", &[]);
    assert!(found[0].contains("cairn.toml"), "{found:?}");
}

#[test]
fn secrets_come_from_files_of_their_own_or_the_environment_and_are_never_shown() {
    let folder = TempDir::new().unwrap();
    let secret = folder.path().join("key");
    fs::write(&secret, "from-a-file-of-its-own\n").unwrap();
    let path = secret.to_str().unwrap();

    let in_the_open = problems("[auth]\nbootstrap_key = 'from-the-open'\n", &[]);
    assert_eq!(
        in_the_open,
        ["auth.bootstrap_key is a secret: put it into a file and name that in auth.bootstrap_key_file"]
    );

    let in_the_file = format!("[auth]\nbootstrap_key_file = '{path}'\n");
    for (toml, variables) in [
        (in_the_file.as_str(), vec![]),
        ("", vec![("CAIRN__AUTH__BOOTSTRAP_KEY_FILE", path)]),
        ("", vec![("CAIRN_API_KEY_FILE", path)]),
    ] {
        let loaded = load(toml, &variables).unwrap();
        assert_eq!(loaded.get::<Auth>().bootstrap_key.unwrap().expose(), "from-a-file-of-its-own");
        let shown = format!("{:?} {}", loaded.get::<Auth>(), registry().print(&loaded));
        assert!(!shown.contains("from-a-file") && shown.contains("(hidden)"), "{shown}");
        assert!(!registry().explain(&loaded, "CAIRN_API_KEY").unwrap().contains("from-a-file"));
    }
    let missing = problems("[auth]\nbootstrap_key_file = '/nonexistent'\n", &[]);
    assert!(missing[0].contains("/nonexistent"), "{missing:?}");
}

#[test]
fn what_another_product_promised_and_this_one_cannot_is_refused() {
    for name in ["DATABASE_URL", "CLICKHOUSE_HOST", "MINIO_ENDPOINT"] {
        assert_eq!(problems("", &[(name, "")]), [""; 0], "an empty {name} asks for nothing");
        let found = problems("", &[(name, "somewhere")]);
        assert!(found.len() == 1 && found[0].starts_with(&format!("{name} is set, but")), "{found:?}");
    }
}

#[test]
fn a_short_name_that_is_nearly_right_is_refused_and_a_strangers_is_none_of_ours() {
    let found = problems("", &[("CAIRN_AUTH_DISABLE", "true"), ("MLRUN_API_KYE", "x")]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("CAIRN_AUTH_DISABLE sets no key; did you mean CAIRN_AUTH_DISABLED?"), "{found:?}");
    assert!(found[1].contains("did you mean MLRUN_API_KEY?"), "{found:?}");
    // A cluster names services so, and a command line has names of its own.
    let strangers = [("CAIRN_SERVICE_HOST", "x"), ("CAIRN_PORT", "x"), ("CAIRN_URL", "x"), ("API_PORT", "x")];
    assert_eq!(problems("", &strangers), [""; 0]);
}

#[test]
fn a_flag_is_the_strongest_and_is_checked_like_the_others() {
    let flag = |path: &str, value: &str| {
        let sources = Sources::new().with_environment([("API_HTTP_PORT", "1")]).with_flag("--set", path, value);
        registry().load(&sources).map_err(|problems| problems.0.join("; "))
    };
    let loaded = flag("edge.http_port", "2").unwrap();
    assert_eq!(loaded.get::<Edge>().http_port, 2);
    assert_eq!(registry().setting(&loaded, "API_HTTP_PORT").unwrap().line(), "edge.http_port = 2 (flag --set)");
    assert_eq!(flag("edge.origins", "https://a, https://b").unwrap().get::<Edge>().origins, ["https://a", "https://b"]);
    for (path, value, said) in [
        ("edge.htpp_port", "2", "there is no key edge.htpp_port (in flag --set); did you mean http_port?"),
        ("egde.http_port", "2", "there is no section egde"),
        ("edge.http_port", "many", "invalid type"),
        ("auth.bootstrap_key", "0123456789abcdef", "is a secret: put it into a file"),
    ] {
        let problem = flag(path, value).err().unwrap();
        assert!(problem.contains(said), "{problem}");
    }
}

#[test]
fn what_is_printed_can_be_read_again() {
    let toml = "[edge]\nhost = \"0.0.0.0\"\norigins = [\"https://a.example\"]\n";
    let printed = registry().print(&load(toml, &[("API_HTTP_PORT", "9")]).unwrap());
    let edge = load(&printed, &[]).unwrap().get::<Edge>();
    assert_eq!((edge.host.as_str(), edge.http_port, edge.origins.len()), ("0.0.0.0", 9, 1));
    assert!(printed.contains("# environment variable API_HTTP_PORT"), "{printed}");
}

#[test]
fn the_reference_lists_every_key() {
    let doc = registry().doc();
    let line = "| `http_port` | integer | `3001` | `API_HTTP_PORT`, `CAIRN__EDGE__HTTP_PORT` | Port for HTTP. 0 takes any free one. |";
    assert!(doc.contains(line), "{doc}");
    assert!(doc.contains("| `bootstrap_key` | secret | not set | `CAIRN_API_KEY`, `CAIRN_API_KEY_FILE`,"), "{doc}");
    assert!(doc.contains("| `trace_file` | path | not set |"), "{doc}");
    assert!(doc.contains("## `[edge]`\n\nWhere callers come in.\n"), "{doc}");
}
