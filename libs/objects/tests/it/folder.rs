use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use cairn_objects::{Expect, Folder, Key, ObjectFault, ObjectStore, Signer, of_bytes};
use futures::stream::{self, StreamExt};
use tempfile::TempDir;

use crate::conformance::{beyond_the_stand_in, every_store, tests};

fn signer() -> Signer {
    Signer::new(&[1; 32], "http://localhost:3001")
}

async fn open() -> (Folder, TempDir) {
    let root = tempfile::tempdir().unwrap();
    (Folder::open(root.path(), signer()).unwrap(), root)
}

every_store!(tests, open());
beyond_the_stand_in!(tests, open());

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

fn any() -> Expect {
    Expect::at_most(u64::MAX)
}

/// Files below a folder, however deep.
fn files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| if entry.file_type().unwrap().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

#[tokio::test]
async fn a_link_out_of_the_root_is_not_followed() {
    let (store, root) = open().await;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    let objects = root.path().join("objects");
    symlink(outside.path(), objects.join("out")).unwrap();
    symlink(outside.path().join("secret"), objects.join("file")).unwrap();
    symlink("../../../../../../etc", objects.join("relative")).unwrap();

    for name in ["out/secret", "file", "relative/passwd"] {
        let got = store.get(&key(name), None).await.err();
        assert!(matches!(got, Some(ObjectFault::NotFound { .. })), "{name}: {got:?}");
        assert!(store.head(&key(name)).await.is_err(), "{name}");
    }
    assert!(store.put(&key("out/new"), of_bytes("x"), any()).await.is_err());
    // A link at the very place is replaced, not written through.
    store.put(&key("file"), of_bytes("ours"), any()).await.unwrap();
    assert_eq!(fs::read_to_string(outside.path().join("secret")).unwrap(), "secret");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    // Nor does a listing walk through one.
    let listed = store.list("", None, 10).await.unwrap().objects;
    assert_eq!(listed.iter().map(|listed| listed.key.as_str()).collect::<Vec<_>>(), ["file"]);
}

#[tokio::test]
async fn a_name_that_others_have_as_a_folder_is_refused() {
    let (store, _root) = open().await;
    store.put(&key("a/b"), of_bytes("x"), any()).await.unwrap();
    for name in ["a", "a/b/c"] {
        let fault = store.put(&key(name), of_bytes("y"), any()).await.unwrap_err();
        assert!(matches!(fault, ObjectFault::Obstructed { .. }), "{name}: {fault}");
    }
}

#[tokio::test]
async fn a_write_given_up_leaves_no_file_behind() {
    let (store, root) = open().await;
    let broken = stream::iter([Ok("half".into()), Err(io::Error::other("gone"))]).boxed();
    assert!(store.put(&key("a/b"), broken, any()).await.is_err());
    assert_eq!(files(root.path()), 0);

    // Nor does one whose caller went away in the middle of it.
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let body = tokio_stream::wrappers::ReceiverStream::new(receiver).boxed();
    let name = key("a/b");
    let writing = store.put(&name, body, any());
    let mut writing = Box::pin(writing);
    sender.send(Ok("half".into())).await.unwrap();
    let permit = sender.reserve();
    tokio::select! {
        // Room for the next piece: the first has been taken, so the write is under way.
        permit = permit => drop(permit),
        done = &mut writing => panic!("{:?}", done.map(|_| ())),
    }
    assert_eq!(files(root.path()), 1);
    drop(writing);
    assert_eq!(files(root.path()), 0);
}

#[tokio::test]
async fn what_a_crash_left_is_removed_at_the_next_start() {
    let (store, root) = open().await;
    store.put(&key("kept"), of_bytes("x"), any()).await.unwrap();
    fs::write(root.path().join("drafts/0123"), "half an object").unwrap();
    drop(store);
    let store = Folder::open(root.path(), signer()).unwrap();
    assert_eq!(files(root.path()), 1);
    assert_eq!(store.head(&key("kept")).await.unwrap().size, 1);
}

#[tokio::test]
async fn empty_folders_go_with_their_last_object() {
    let (store, root) = open().await;
    store.put(&key("a/b/c"), of_bytes("x"), any()).await.unwrap();
    store.put(&key("a/d"), of_bytes("x"), any()).await.unwrap();
    store.delete(&key("a/b/c")).await.unwrap();
    assert!(!root.path().join("objects/a/b").exists());
    assert!(root.path().join("objects/a/d").exists());
}

#[tokio::test]
async fn what_another_writes_at_the_same_time_is_left_alone() {
    let (store, root) = open().await;
    let folder = root.path().to_owned();
    let rest = stream::once(async move {
        let drafts = || fs::read_dir(folder.join("drafts")).unwrap().count();
        assert_eq!(drafts(), 1, "a draft is there while it is written");
        Folder::open(&folder, signer()).unwrap();
        assert_eq!(drafts(), 1);
        Ok("the rest".into())
    });
    let body = stream::iter([Ok("a part and ".into())]).chain(rest).boxed();
    store.put(&key("a"), body, any()).await.unwrap();
    assert_eq!(store.head(&key("a")).await.unwrap().size, 19);
    assert_eq!(files(root.path()), 1);
}
