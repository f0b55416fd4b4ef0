//! Secrets do not stand in the tree: credentials of known shapes, private keys, and long random texts that are called a
//! password.

use std::fs;
use std::path::{Path, PathBuf};

use super::root;

/// Largest file that is looked at, in bytes. Larger ones are none of ours.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What a credential looks like: how it begins, and how many letters of which kind follow at least.
struct Shape {
    kind: &'static str,
    begins: &'static str,
    follows: fn(u8) -> bool,
    at_least: usize,
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_text(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}

fn is_upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

const SHAPES: &[Shape] = &[
    Shape { kind: "an API key of Cairn", begins: "cairn_sa_", follows: is_word, at_least: 50 },
    Shape { kind: "an API key of Cairn", begins: "cairn_pat_", follows: is_word, at_least: 50 },
    Shape { kind: "an API key of Cairn", begins: "cairn_boot_", follows: is_word, at_least: 50 },
    Shape { kind: "an access key of AWS", begins: "AKIA", follows: is_upper, at_least: 16 },
    Shape { kind: "an access key of AWS", begins: "ASIA", follows: is_upper, at_least: 16 },
    Shape { kind: "a token of GitHub", begins: "ghp_", follows: is_word, at_least: 36 },
    Shape { kind: "a token of GitHub", begins: "ghs_", follows: is_word, at_least: 36 },
    Shape { kind: "a token of GitHub", begins: "github_pat_", follows: is_word, at_least: 22 },
    Shape { kind: "a token of GitLab", begins: "glpat-", follows: is_text, at_least: 20 },
    Shape { kind: "a token of Slack", begins: "xoxb-", follows: is_text, at_least: 20 },
    Shape { kind: "a token of Slack", begins: "xoxp-", follows: is_text, at_least: 20 },
    Shape { kind: "a key of Google", begins: "AIza", follows: is_text, at_least: 35 },
    Shape { kind: "a key of Stripe", begins: "sk_live_", follows: is_word, at_least: 16 },
    Shape { kind: "a token of Vault", begins: "hvs.", follows: is_text, at_least: 24 },
    Shape { kind: "a token of npm", begins: "npm_", follows: is_word, at_least: 36 },
    Shape { kind: "a token of PyPI", begins: "pypi-AgE", follows: is_text, at_least: 40 },
];

/// What stands before a text that is called a secret.
const CALLED: &[&str] = &["password", "passwd", "secret", "token", "api_key", "apikey", "private_key", "access_key"];
/// Shortest text that is taken for a random one.
const RANDOM_CHARS_MIN: usize = 24;

/// The kind of secret in a line, if there is one.
fn found_in(line: &str) -> Option<&'static str> {
    let shaped = SHAPES.iter().find(|shape| is_shaped(line, shape)).map(|shape| shape.kind);
    let key = (line.trim_start_matches(['"', '\'', ' ']).starts_with("-----BEGIN ")
        && line.contains("PRIVATE KEY-----"))
    .then_some("a private key");
    shaped.or(key).or_else(|| is_called_secret(line).then_some("a text that is called a secret and looks random"))
}

fn is_shaped(line: &str, shape: &Shape) -> bool {
    line.match_indices(shape.begins).any(|(at, _)| {
        let begins_here = at == 0 || !is_word(line.as_bytes()[at - 1]);
        let rest = &line.as_bytes()[at + shape.begins.len()..];
        begins_here && rest.iter().take_while(|byte| (shape.follows)(**byte)).count() >= shape.at_least
    })
}

/// `password = "…"` with a long text of three sorts of letters and few that come again.
fn is_called_secret(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    CALLED.iter().any(|word| {
        lower.match_indices(word).any(|(at, _)| {
            let rest = line[at + word.len()..].trim_start_matches(['"', '\'', ' ']);
            let Some(rest) = rest.strip_prefix(['=', ':']) else { return false };
            let rest = rest.trim_start();
            let Some(rest) = rest.strip_prefix(['"', '\'']) else { return false };
            let end = rest.find(['"', '\'']).unwrap_or(0);
            is_random(&rest[..end])
        })
    })
}

fn is_random(text: &str) -> bool {
    let is_key = |byte: u8| byte.is_ascii_alphanumeric() || b"+/_-=.~".contains(&byte);
    if text.len() < RANDOM_CHARS_MIN || !text.bytes().all(is_key) {
        return false;
    }
    let sorts = [u8::is_ascii_lowercase, u8::is_ascii_uppercase, u8::is_ascii_digit];
    let count = sorts.iter().filter(|sort| text.bytes().any(|byte| sort(&byte))).count();
    let mut letters: Vec<u8> = text.bytes().collect();
    letters.sort_unstable();
    letters.dedup();
    count == 3 && letters.len() * 2 > RANDOM_CHARS_MIN
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_symlink() || [".git", "target", "node_modules", "data", "__pycache__"].contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            files(&path, found);
        } else if fs::metadata(&path).unwrap().len() <= FILE_BYTES_MAX {
            found.push(path);
        }
    }
}

/// Where secrets stand below a folder: file, line and kind, and not the secret.
fn scan(folder: &Path) -> Vec<String> {
    let mut paths = vec![];
    files(folder, &mut paths);
    let mut told = vec![];
    for path in paths {
        let bytes = fs::read(&path).unwrap();
        for (at, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            if let Some(kind) = found_in(line) {
                told.push(format!("{}:{}: {kind}", path.strip_prefix(folder).unwrap().display(), at + 1));
            }
        }
    }
    told
}

#[test]
fn no_secret_stands_in_the_tree_s0_94() {
    let told = scan(&root());
    assert!(
        told.is_empty(),
        "these look like secrets; revoke what is one, and keep it elsewhere:\n{}",
        told.join("\n")
    );
}

#[test]
fn a_planted_secret_is_found_s0_94() {
    let folder = tempfile::tempdir().unwrap();
    // Put together here, so that this file holds none.
    let random = ["hG7kQ2mX", "9pLw4RtS", "Zb8nVc3Y"].concat();
    let planted = [
        ("aws", ["AKI", "AIOSFODNN7EXAMPLE0"].concat()),
        ("ours", format!("export CAIRN_API_KEY=cairn_{}_{}", "sa", "a1B2".repeat(13))),
        ("github", format!("token: ghp{}{}", "_", "a1B2c3D4e5F6".repeat(3))),
        ("pem", ["-----BEGIN RSA PRIV", "ATE KEY-----"].concat()),
        ("called", format!("{}: \"{random}\"", ["db_pass", "word"].concat())),
        ("json", format!("{{\"{}\": \"{random}\"}}", ["api_", "key"].concat())),
    ];
    for (name, text) in &planted {
        fs::create_dir_all(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("file.txt"), format!("first line\n{text}\n")).unwrap();
    }
    fs::write(
        folder.path().join("harmless.txt"),
        "password = \"changeme\"\ntoken: \"the_name_of_a_setting_in_lower_case\"\n",
    )
    .unwrap();
    let mut told = scan(folder.path());
    told.sort();
    let expected = ["aws", "called", "github", "json", "ours", "pem"].map(|name| format!("{name}/file.txt:2"));
    let found: Vec<String> = told.iter().map(|line| line.rsplit_once(": ").unwrap().0.to_owned()).collect();
    assert_eq!(found, expected);
    assert!(!told.concat().contains(&random), "what is found is not told");
}
