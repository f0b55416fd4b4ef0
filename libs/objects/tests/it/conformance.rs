//! What holds for every store. Each rule gets a fresh one.

use std::io;

use bytes::Bytes;
use cairn_objects::{Body, Digest, Expect, Key, ObjectFault, ObjectStore, Part, UploadId, collect, of_bytes, verified};
use futures::stream::{self, StreamExt};

/// More than one piece of an S3 upload, and not a multiple of one.
const LARGE: u64 = 20 * 1024 * 1024 + 17;
/// What S3 demands of every part but the last.
const PART: usize = 5 * 1024 * 1024;

/// Hands the rules that hold for every store to another macro.
macro_rules! every_store {
    ($with:ident, $open:expr) => {
        $with! {
            $open;
            what_is_put_can_be_read,
            a_large_body_streams_through_with_its_digest,
            an_object_can_be_replaced,
            a_range_is_cut_to_the_object,
            what_is_not_there_says_so,
            deleting_twice_is_success,
            content_that_is_not_what_was_announced_is_not_kept,
            a_body_that_breaks_off_leaves_nothing,
            a_listing_pages_in_the_order_of_keys,
            parts_become_one_object,
            a_part_sent_again_replaces_the_first,
            parts_that_are_not_there_are_refused,
            parts_that_arrived_are_told,
            parts_that_are_not_what_was_announced_become_no_object,
            an_abandoned_upload_is_gone
        }
    };
}
pub(crate) use every_store;

/// The same with rules that the stand-in for S3 does not know, although S3 does.
macro_rules! beyond_the_stand_in {
    ($with:ident, $open:expr) => {
        $with! {
            $open;
            an_upload_belongs_to_its_key,
            an_upload_that_is_not_there_says_so,
            an_upload_left_alone_is_told,
            a_folder_is_not_an_object_nor_is_there_one_below_an_object
        }
    };
}
pub(crate) use beyond_the_stand_in;

/// Makes a test of each rule: `every_store!(tests, open());`, where `open` gives the store and what keeps it alive.
#[cfg(test)]
macro_rules! tests {
    ($open:expr; $($rule:ident),+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $rule() {
                let (store, _alive) = $open.await;
                $crate::conformance::$rule(&store).await;
            }
        )+
    };
}
#[cfg(test)]
pub(crate) use tests;

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

fn any() -> Expect {
    Expect::at_most(u64::MAX)
}

async fn put(store: &impl ObjectStore, name: &str, content: &'static str) {
    store.put(&key(name), of_bytes(content), any()).await.unwrap();
}

async fn read(store: &impl ObjectStore, name: &str) -> String {
    let object = store.get(&key(name), None).await.unwrap();
    String::from_utf8(collect(object.body, object.size).await.unwrap().to_vec()).unwrap()
}

/// A body made as it is read, so that nobody needs to hold it.
fn generated(size: u64) -> Body {
    const PIECE: u64 = 100_000;
    stream::iter((0..size.div_ceil(PIECE)).map(move |at| {
        let length = PIECE.min(size - at * PIECE) as usize;
        Ok(Bytes::from(vec![(at % 251) as u8; length]))
    }))
    .boxed()
}

pub async fn what_is_put_can_be_read(store: &impl ObjectStore) {
    for (name, content) in [("a", "hello"), ("deep/er/ü b+c&d%2e.txt", "x"), ("empty", "")] {
        let written = store.put(&key(name), of_bytes(content), any()).await.unwrap();
        assert_eq!((written.size, written.sha256), (content.len() as u64, Digest::of(content.as_bytes())));
        assert_eq!(read(store, name).await, content);
        assert_eq!(store.head(&key(name)).await.unwrap().size, content.len() as u64);
    }
}

pub async fn a_large_body_streams_through_with_its_digest(store: &impl ObjectStore) {
    let written = store.put(&key("large"), generated(LARGE), any()).await.unwrap();
    assert_eq!(written.size, LARGE);
    let mut body = verified(store.get(&key("large"), None).await.unwrap().body, LARGE, written.sha256);
    let mut seen = 0;
    while let Some(piece) = body.next().await {
        seen += piece.unwrap().len() as u64;
    }
    assert_eq!(seen, LARGE);
    // The digest is that of the content, not of how it was cut.
    let mut again = cairn_objects::Digester::default();
    let mut source = generated(LARGE);
    while let Some(piece) = source.next().await {
        again.update(&piece.unwrap());
    }
    assert_eq!(again.finish(), (LARGE, written.sha256));
}

pub async fn an_object_can_be_replaced(store: &impl ObjectStore) {
    put(store, "k", "old and longer").await;
    put(store, "k", "new").await;
    assert_eq!(read(store, "k").await, "new");
    assert_eq!(store.list("", None, 10).await.unwrap().objects.len(), 1);
}

pub async fn a_range_is_cut_to_the_object(store: &impl ObjectStore) {
    put(store, "digits", "0123456789").await;
    for (range, expected) in [(0..4, "0123"), (3..4, "3"), (8..100, "89"), (0..10, "0123456789"), (4..4, "")] {
        let object = store.get(&key("digits"), Some(range.clone())).await.unwrap();
        assert_eq!(object.size, 10);
        assert_eq!(collect(object.body, 10).await.unwrap(), expected, "{range:?}");
    }
    for range in [10..11, 11..12] {
        let fault = store.get(&key("digits"), Some(range)).await.err();
        assert!(matches!(fault, Some(ObjectFault::Range { size: 10, .. })), "{fault:?}");
    }
}

pub async fn what_is_not_there_says_so(store: &impl ObjectStore) {
    put(store, "a/b", "x").await;
    for name in ["nothing", "a/c", "c/b"] {
        let got = store.get(&key(name), None).await.err();
        assert!(matches!(got, Some(ObjectFault::NotFound { .. })), "{name}: {got:?}");
        let head = store.head(&key(name)).await.err();
        assert!(matches!(head, Some(ObjectFault::NotFound { .. })), "{name}: {head:?}");
    }
}

pub async fn a_folder_is_not_an_object_nor_is_there_one_below_an_object(store: &impl ObjectStore) {
    put(store, "a/b", "x").await;
    for name in ["a", "a/b/c"] {
        assert!(matches!(store.get(&key(name), None).await, Err(ObjectFault::NotFound { .. })), "{name}");
        assert!(matches!(store.head(&key(name)).await, Err(ObjectFault::NotFound { .. })), "{name}");
        store.delete(&key(name)).await.unwrap();
    }
    assert_eq!(read(store, "a/b").await, "x");
}

pub async fn deleting_twice_is_success(store: &impl ObjectStore) {
    put(store, "f/a", "x").await;
    put(store, "f/b", "y").await;
    store.delete(&key("f/a")).await.unwrap();
    store.delete(&key("f/a")).await.unwrap();
    store.delete(&key("never/there")).await.unwrap();
    assert!(store.get(&key("f/a"), None).await.is_err());
    assert_eq!(read(store, "f/b").await, "y");
}

pub async fn content_that_is_not_what_was_announced_is_not_kept(store: &impl ObjectStore) {
    put(store, "kept", "before").await;
    let other = Digest::of(b"other");
    for (expect, name) in [
        (Expect { size: Some(4), ..any() }, "size"),
        (Expect { sha256: Some(other), ..any() }, "digest"),
        (Expect::at_most(4), "limit"),
    ] {
        let fault = store.put(&key("kept"), of_bytes("hello"), expect).await.unwrap_err();
        let is_right = match name {
            "size" => matches!(fault, ObjectFault::SizeMismatch { size: 5, expected: 4 }),
            "digest" => matches!(fault, ObjectFault::DigestMismatch { .. }),
            _ => matches!(fault, ObjectFault::TooLarge { size_max: 4 }),
        };
        assert!(is_right, "{name}: {fault}");
    }
    // Also when it is found out only after several pieces have been stored.
    let expect = Expect { sha256: Some(other), ..any() };
    assert!(store.put(&key("kept"), generated(LARGE), expect).await.is_err());
    assert!(store.put(&key("kept"), generated(LARGE), Expect::at_most(LARGE - 1)).await.is_err());
    assert_eq!(read(store, "kept").await, "before");

    let expect = Expect { size: Some(5), sha256: Some(Digest::of(b"hello")), ..any() };
    store.put(&key("kept"), of_bytes("hello"), expect).await.unwrap();
    assert_eq!(read(store, "kept").await, "hello");
}

pub async fn a_body_that_breaks_off_leaves_nothing(store: &impl ObjectStore) {
    for size in [10, LARGE] {
        let broken = generated(size).chain(stream::iter([Err(io::Error::other("the line dropped"))])).boxed();
        let fault = store.put(&key("half"), broken, any()).await.unwrap_err();
        assert!(matches!(fault, ObjectFault::Interrupted { .. }), "{fault}");
        assert!(matches!(store.head(&key("half")).await, Err(ObjectFault::NotFound { .. })));
        assert!(store.list("", None, 10).await.unwrap().objects.is_empty());
    }
}

pub async fn a_listing_pages_in_the_order_of_keys(store: &impl ObjectStore) {
    // A dash sorts before a slash and a letter after it: folders must not disturb the order.
    let mut names = vec!["a", "b-c", "b/c", "b/d/e", "b/d-", "ba", "c/1", "c/2", "d"];
    for name in &names {
        put(store, name, "x").await;
    }
    names.sort_unstable();
    for limit in [1, 2, 4, 9, 100] {
        let mut seen = vec![];
        let mut after = None;
        loop {
            let page = store.list("", after.as_ref(), limit).await.unwrap();
            assert!(page.objects.len() <= limit);
            seen.extend(page.objects.iter().map(|listed| listed.key.to_string()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, names, "in pages of {limit}");
    }
    for (prefix, expected) in [("b/", vec!["b/c", "b/d-", "b/d/e"]), ("b", vec!["b-c", "b/c", "b/d-", "b/d/e", "ba"])] {
        let page = store.list(prefix, None, 100).await.unwrap();
        assert_eq!(page.objects.iter().map(|listed| listed.key.as_str()).collect::<Vec<_>>(), expected, "{prefix}");
    }
    assert!(store.list("nothing/", None, 10).await.unwrap().objects.is_empty());
}

async fn part(store: &impl ObjectStore, upload: &UploadId, number: u32, letter: u8, size: usize) -> Part {
    store.put_part(&key("whole"), upload, number, of_bytes(vec![letter; size]), any()).await.unwrap()
}

pub async fn parts_become_one_object(store: &impl ObjectStore) {
    let upload = store.begin(&key("whole")).await.unwrap();
    let second = part(store, &upload, 2, b'b', 3).await;
    let first = part(store, &upload, 1, b'a', PART).await;
    assert!(store.head(&key("whole")).await.is_err(), "visible before it was complete");
    let written = store.complete(&key("whole"), &upload, &[first, second], any()).await.unwrap();
    let expected = [vec![b'a'; PART], vec![b'b'; 3]].concat();
    assert_eq!((written.size, written.sha256), (expected.len() as u64, Digest::of(&expected)));
    let object = store.get(&key("whole"), None).await.unwrap();
    assert_eq!(collect(object.body, object.size).await.unwrap(), expected);
}

pub async fn a_part_sent_again_replaces_the_first(store: &impl ObjectStore) {
    let upload = store.begin(&key("whole")).await.unwrap();
    part(store, &upload, 1, b'x', 9).await;
    let again = part(store, &upload, 1, b'y', 3).await;
    store.complete(&key("whole"), &upload, &[again], any()).await.unwrap();
    assert_eq!(read(store, "whole").await, "yyy");
}

pub async fn parts_that_are_not_there_are_refused(store: &impl ObjectStore) {
    let upload = store.begin(&key("whole")).await.unwrap();
    let first = part(store, &upload, 1, b'a', 3).await;
    let missing = Part { number: 2, etag: first.etag.clone() };
    for parts in
        [vec![], vec![first.clone(), missing.clone()], vec![missing, first.clone()], vec![first.clone(), first]]
    {
        assert!(store.complete(&key("whole"), &upload, &parts, any()).await.is_err(), "{parts:?}");
    }
    assert!(store.head(&key("whole")).await.is_err());
}

pub async fn parts_that_arrived_are_told(store: &impl ObjectStore) {
    let upload = store.begin(&key("whole")).await.unwrap();
    part(store, &upload, 2, b'b', 3).await;
    part(store, &upload, 1, b'x', 9).await;
    part(store, &upload, 1, b'a', PART).await;
    let arrived = store.parts(&key("whole"), &upload).await.unwrap();
    let told: Vec<_> = arrived.iter().map(|arrived| (arrived.part.number, arrived.size)).collect();
    assert_eq!(told, [(1, PART as u64), (2, 3)]);
    // Enough to go on with, by somebody who kept no notes.
    let parts: Vec<_> = arrived.into_iter().map(|arrived| arrived.part).collect();
    let written = store.complete(&key("whole"), &upload, &parts, any()).await.unwrap();
    assert_eq!(written.sha256, Digest::of(&[vec![b'a'; PART], vec![b'b'; 3]].concat()));
}

pub async fn parts_that_are_not_what_was_announced_become_no_object(store: &impl ObjectStore) {
    for expect in
        [Expect { size: Some(4), ..any() }, Expect { sha256: Some(Digest::of(b"other")), ..any() }, Expect::at_most(2)]
    {
        let upload = store.begin(&key("whole")).await.unwrap();
        let first = part(store, &upload, 1, b'a', 3).await;
        assert!(store.complete(&key("whole"), &upload, &[first], expect).await.is_err(), "{expect:?}");
        assert!(store.head(&key("whole")).await.is_err(), "{expect:?}");
    }
}

pub async fn an_upload_left_alone_is_told(store: &impl ObjectStore) {
    let upload = store.begin(&key("left")).await.unwrap();
    let later = cairn_kernel::Clock::now(&cairn_kernel::SystemClock).after(std::time::Duration::from_secs(3600));
    let done = store.begin(&key("done")).await.unwrap();
    store.abort(&key("done"), &done).await.unwrap();
    let unfinished = store.unfinished(later).await.unwrap();
    let told: Vec<_> = unfinished.iter().map(|unfinished| (unfinished.key.as_str(), &unfinished.upload)).collect();
    assert_eq!(told, [("left", &upload)]);
    assert!(store.unfinished(cairn_kernel::Time::default()).await.unwrap().is_empty());
}

pub async fn an_abandoned_upload_is_gone(store: &impl ObjectStore) {
    let upload = store.begin(&key("whole")).await.unwrap();
    let first = part(store, &upload, 1, b'a', 3).await;
    store.abort(&key("whole"), &upload).await.unwrap();
    assert!(store.complete(&key("whole"), &upload, std::slice::from_ref(&first), any()).await.is_err());
    assert!(store.put_part(&key("whole"), &upload, 2, of_bytes("b"), any()).await.is_err());
    assert!(store.head(&key("whole")).await.is_err());
}

pub async fn an_upload_that_is_not_there_says_so(store: &impl ObjectStore) {
    let upload = UploadId("7b9e1f0c5d7c4f3e8a1b2c3d4e5f6071".into());
    store.abort(&key("whole"), &upload).await.unwrap();
    let parts = [Part { number: 1, etag: Digest::of(b"x").to_string() }];
    for upload in [upload, UploadId("../objects".into()), UploadId(String::new())] {
        let fault = store.complete(&key("whole"), &upload, &parts, any()).await.unwrap_err();
        assert!(matches!(fault, ObjectFault::UploadNotFound { .. }), "{fault}");
        let fault = store.put_part(&key("whole"), &upload, 1, of_bytes("x"), any()).await.unwrap_err();
        assert!(matches!(fault, ObjectFault::UploadNotFound { .. }), "{fault}");
    }
}

pub async fn an_upload_belongs_to_its_key(store: &impl ObjectStore) {
    let upload = store.begin(&key("whole")).await.unwrap();
    let first = part(store, &upload, 1, b'a', 3).await;
    assert!(store.put_part(&key("other"), &upload, 2, of_bytes("b"), any()).await.is_err());
    assert!(store.complete(&key("other"), &upload, &[first], any()).await.is_err());
    assert!(store.head(&key("other")).await.is_err());
}
