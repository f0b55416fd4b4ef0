use std::io;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use crate::{Digest, Digester, ObjectFault};

/// Bytes on their way, in pieces of any size. Nobody holds all of them.
pub type Body = BoxStream<'static, io::Result<Bytes>>;

/// A body of bytes in memory.
pub fn of_bytes(bytes: impl Into<Bytes>) -> Body {
    stream::iter([Ok(bytes.into())]).boxed()
}

/// All bytes of a body, at most `size_max` of them.
pub async fn collect(mut body: Body, size_max: u64) -> Result<Bytes, ObjectFault> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = body.try_next().await.map_err(ObjectFault::interrupted)? {
        if (bytes.len() + piece.len()) as u64 > size_max {
            return Err(ObjectFault::TooLarge { size_max });
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

/// A body that breaks off when it is not what was stored: a reader that got to the end got the right bytes.
///
/// The last piece is held back until the whole is judged. A reader that was told the length stops there, and would not
/// hear of a failure that comes after the last byte.
pub fn verified(body: Body, size: u64, sha256: Digest) -> Body {
    let state = (body, None::<Bytes>, Some(Digester::default()));
    stream::try_unfold(state, move |(mut body, mut held, digester)| async move {
        // Once the end was judged, there is nothing more.
        let Some(mut digester) = digester else { return Ok(None) };
        while let Some(piece) = body.try_next().await? {
            if piece.is_empty() {
                continue;
            }
            digester.update(&piece);
            if let Some(ready) = held.replace(piece) {
                return Ok(Some((ready, (body, held, Some(digester)))));
            }
        }
        if digester.finish() == (size, sha256) {
            return Ok(held.map(|last| (last, (body, None, None))));
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the stored bytes are not those that were recorded"))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_verified_body_ends_only_when_it_is_whole_and_right() {
        let right = Digest::of(b"hello");
        assert_eq!(collect(verified(of_bytes("hello"), 5, right), 5).await.unwrap(), "hello");
        for wrong in ["hullo", "hell", "hello!"] {
            let fault = collect(verified(of_bytes(wrong), 5, right), 9).await.unwrap_err();
            assert!(matches!(fault, ObjectFault::Damaged { .. }), "{wrong}: {fault}");
        }
    }

    #[tokio::test]
    async fn a_damaged_body_never_reaches_the_length_that_was_announced() {
        let pieces = |pieces: [&'static str; 3]| stream::iter(pieces.map(|piece| Ok(Bytes::from(piece)))).boxed();
        let right = Digest::of(b"hello");
        let sent = |body| verified(body, 5, right).map_ok(|piece| piece.len()).collect::<Vec<_>>();
        let whole = sent(pieces(["he", "llo", ""])).await;
        assert_eq!(whole.into_iter().map(Result::unwrap).sum::<usize>(), 5);
        for damaged in [["he", "llO", ""], ["HE", "llo", ""], ["hellO", "", ""]] {
            let sent = sent(pieces(damaged)).await;
            assert!(sent.last().unwrap().is_err());
            assert!(sent.iter().flatten().sum::<usize>() < 5, "{damaged:?}");
        }
    }

    #[tokio::test]
    async fn collecting_stops_at_the_limit() {
        let endless = stream::repeat_with(|| Ok(Bytes::from_static(b"0123456789"))).boxed();
        assert!(matches!(collect(endless, 1000).await, Err(ObjectFault::TooLarge { size_max: 1000 })));
    }
}
