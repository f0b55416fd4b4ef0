use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use cairn_kernel::Name;
use cairn_seal::{Config, KeeperFault, KeyFile, Rewrapped, SealFault, Sealer, Sensitive};

async fn sealer(folder: &Path) -> Sealer {
    Config::default().start(folder, "d-1").await.unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn message(text: &str) -> Sensitive {
    text.to_owned().into()
}

#[tokio::test]
async fn what_is_sealed_opens_for_its_subject_and_purpose_alone() {
    let folder = tempfile::tempdir().unwrap();
    let sealer = sealer(folder.path()).await;
    let (one, other) = (name("projects/p/secrets/s/versions/1"), name("projects/p/secrets/s/versions/2"));
    let sealed = sealer.seal_alone(&one, "value", message("canary-value")).await.unwrap();
    let theirs = sealer.seal_alone(&other, "value", message("another")).await.unwrap();
    assert_eq!(sealer.open(&one, "value", sealed.as_bytes()).await.unwrap().expose(), b"canary-value");
    let foreign = |outcome: Result<Sensitive, SealFault>| matches!(outcome, Err(SealFault::Foreign));
    assert!(foreign(sealer.open(&other, "value", sealed.as_bytes()).await), "another version");
    assert!(foreign(sealer.open(&one, "note", sealed.as_bytes()).await), "another purpose");
    // Key and check value of the other one in front of our ciphertext.
    let spliced = [&theirs.as_bytes()[..33], &sealed.as_bytes()[33..]].concat();
    assert!(foreign(sealer.open(&other, "value", &spliced).await));
    for at in 17..sealed.as_bytes().len() {
        let mut bent = sealed.as_bytes().to_vec();
        bent[at] ^= 1;
        assert!(foreign(sealer.open(&one, "value", &bent).await), "byte {at}");
    }
    assert!(matches!(sealer.open(&one, "value", b"\x02short").await, Err(SealFault::Malformed)));

    // Nothing on the disk tells the message or a key.
    for file in fs::read_dir(folder.path()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(12).any(|window| window == b"canary-value"));
    }
    // Another deployment with the same files and another name opens nothing.
    let elsewhere = Config::default().start(folder.path(), "d-2").await.unwrap();
    let opened = elsewhere.open(&one, "value", sealed.as_bytes()).await;
    assert!(matches!(opened, Err(SealFault::Keeper(KeeperFault::Foreign))));
}

#[tokio::test]
async fn what_belongs_to_a_subject_is_forgotten_together_and_in_every_byte() {
    let folder = tempfile::tempdir().unwrap();
    let sealer = sealer(folder.path()).await;
    let (ada, bob) = (name("users/ada"), name("users/bob"));
    let tea = sealer.seal(&ada, "note", message("likes tea")).await.unwrap();
    let mail = sealer.seal(&ada, "email", message("ada@example.org")).await.unwrap();
    let kept = sealer.seal(&bob, "note", message("likes coffee")).await.unwrap();
    assert_eq!(tea.key(), mail.key(), "one key for all that is known about somebody");
    let row = tea.key();
    assert!(holds(&folder.path().join("sealing.sqlite"), &hex(&row.to_string())));
    assert_eq!(sealer.forget(&ada).await.unwrap(), 1);
    assert!(!holds(&folder.path().join("sealing.sqlite"), &hex(&row.to_string())));
    for sealed in [&tea, &mail] {
        let purpose = if sealed == &tea { "note" } else { "email" };
        assert!(matches!(sealer.open(&ada, purpose, sealed.as_bytes()).await, Err(SealFault::Forgotten)));
    }
    assert_eq!(sealer.forget(&ada).await.unwrap(), 0, "forgetting again changes nothing");
    assert_eq!(sealer.open(&bob, "note", kept.as_bytes()).await.unwrap().expose(), b"likes coffee");
    // Somebody of that name who comes later begins anew.
    let later = sealer.seal(&ada, "note", message("new")).await.unwrap();
    assert_ne!(later.key(), tea.key());
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn holds(path: &Path, needle: &[u8]) -> bool {
    fs::read(path).unwrap().windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn keys_are_wrapped_anew_while_they_are_read_and_where_it_was_interrupted_s4_125() {
    let folder = tempfile::tempdir().unwrap();
    let sealer = sealer(folder.path()).await;
    let mut sealed = vec![];
    for at in 0..600 {
        let subject = name(&format!("projects/p/secrets/s/versions/{at}"));
        sealed.push((subject.clone(), sealer.seal_alone(&subject, "value", message(&at.to_string())).await.unwrap()));
    }
    let before = sealer.standing().await.unwrap();
    let newest = sealer.rotate().await.unwrap();
    assert_ne!(before.keeper.newest, newest);
    // The first part, then the process ends.
    assert_eq!(sealer.rewrap(1).await.unwrap(), Rewrapped { done: 256, left: 344 });
    drop(sealer);
    let sealer = Config::default().start(folder.path(), "d-1").await.unwrap();
    let reading = tokio::spawn({
        let (sealer, sealed) = (sealer.clone(), sealed.clone());
        async move {
            for (at, (subject, sealed)) in sealed.iter().enumerate() {
                let opened = sealer.open(subject, "value", sealed.as_bytes()).await.unwrap();
                assert_eq!(opened.expose(), at.to_string().as_bytes());
            }
        }
    });
    assert_eq!(sealer.rewrap(u64::MAX).await.unwrap(), Rewrapped { done: 344, left: 0 });
    reading.await.unwrap();
    let after = sealer.standing().await.unwrap();
    assert_eq!(after.wrapped, [(newest, 600)]);
    assert_eq!(sealer.rewrap(u64::MAX).await.unwrap(), Rewrapped::default(), "there is nothing left to do");
    let (subject, one) = &sealed[599];
    assert_eq!(sealer.open(subject, "value", one.as_bytes()).await.unwrap().expose(), b"599");
}

#[tokio::test]
async fn a_start_without_the_key_that_wrapped_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("sealing-keys.json");
    let first = sealer(folder.path()).await;
    let subject = name("users/ada");
    let sealed = first.seal(&subject, "note", message("x")).await.unwrap();
    drop(first);
    let backup = fs::read(&keys).unwrap();
    fs::remove_file(&keys).unwrap();
    let refused = Config::default().start(folder.path(), "d-1").await.err().unwrap();
    assert!(matches!(refused, SealFault::Keeper(KeeperFault::Lost { .. })), "{refused}");
    // Somebody else's key file does not do.
    drop(KeyFile::open(&keys, true).unwrap());
    let refused = Config::default().start(folder.path(), "d-1").await.err().unwrap();
    assert!(matches!(refused, SealFault::Keeper(KeeperFault::Unknown { .. })), "{refused}");
    // The backup does.
    fs::write(&keys, backup).unwrap();
    let restored = sealer(folder.path()).await;
    assert_eq!(restored.open(&subject, "note", sealed.as_bytes()).await.unwrap().expose(), b"x");
}

#[tokio::test]
async fn many_keys_are_wrapped_anew_in_little_time() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = |_| Ok(Arc::new(KeyFile::open(&folder.path().join("k.json"), true)?) as Arc<_>);
    let sealer = Sealer::start(&folder.path().join("t.sqlite"), "d-1", keeper).await.unwrap();
    for at in 0..1_000 {
        sealer.seal_alone(&name(&format!("secrets/{at}")), "value", message("x")).await.unwrap();
    }
    sealer.rotate().await.unwrap();
    let begin = Instant::now();
    assert_eq!(sealer.rewrap(u64::MAX).await.unwrap(), Rewrapped { done: 1_000, left: 0 });
    // 100,000 within a minute would be 600 ms for these; a debug build on a busy machine is given ten times that.
    assert!(begin.elapsed().as_millis() < 6_000, "{:?}", begin.elapsed());
}
