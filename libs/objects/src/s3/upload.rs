use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;

use crate::{Body, Digester, Expect, ObjectFault, PARTS_MAX, Written};

/// Size of a part, unless the whole is known to need larger ones.
const PIECE_BYTES: u64 = 8 * 1024 * 1024;
/// Largest part that is held in memory.
pub(super) const PIECE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Cuts a body into the parts of an upload. Holds one at a time.
pub(super) struct Pieces {
    body: Body,
    expect: Expect,
    piece_bytes: usize,
    digester: Digester,
    /// What arrived beyond the last piece.
    rest: BytesMut,
    is_end: bool,
}

impl Pieces {
    pub fn new(body: Body, expect: Expect) -> Self {
        let needed = expect.size.unwrap_or_default().div_ceil(u64::from(PARTS_MAX));
        let piece_bytes = needed.clamp(PIECE_BYTES, PIECE_BYTES_MAX) as usize;
        Self { body, expect, piece_bytes, digester: Digester::default(), rest: BytesMut::new(), is_end: false }
    }

    /// The next piece; all but the last are of full size.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ObjectFault> {
        while !self.is_end && self.rest.len() <= self.piece_bytes {
            match self.body.try_next().await.map_err(ObjectFault::interrupted)? {
                Some(bytes) => {
                    self.digester.update(&bytes);
                    self.expect.allows(self.digester.size())?;
                    self.rest.extend_from_slice(&bytes);
                }
                None => self.is_end = true,
            }
        }
        let taken = self.rest.len().min(self.piece_bytes);
        Ok((taken > 0).then(|| self.rest.split_to(taken).freeze()))
    }

    /// Whether every byte has been handed out.
    pub fn is_end(&self) -> bool {
        self.is_end && self.rest.is_empty()
    }

    /// What it was, once all of it has been handed out.
    pub fn finish(&self) -> Result<Written, ObjectFault> {
        debug_assert!(self.is_end(), "judged before its end");
        let (size, sha256) = self.digester.clone().finish();
        let written = Written { size, sha256 };
        self.expect.met_by(&written)?;
        Ok(written)
    }
}
