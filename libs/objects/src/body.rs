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

/// A body that fails at its end when it was not what was stored: a reader that got to the end got the right bytes.
pub fn verified(body: Body, size: u64, sha256: Digest) -> Body {
    let state = (body, Some(Digester::default()));
    stream::try_unfold(state, move |(mut body, digester)| async move {
        // Once the end was judged, there is nothing more.
        let Some(mut digester) = digester else { return Ok(None) };
        if let Some(piece) = body.try_next().await? {
            digester.update(&piece);
            return Ok(Some((piece, (body, Some(digester)))));
        }
        if digester.finish() == (size, sha256) {
            return Ok(None);
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
    async fn collecting_stops_at_the_limit() {
        let endless = stream::repeat_with(|| Ok(Bytes::from_static(b"0123456789"))).boxed();
        assert!(matches!(collect(endless, 1000).await, Err(ObjectFault::TooLarge { size_max: 1000 })));
    }
}
