use std::collections::VecDeque;
use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use cairn_kernel::Code;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tonic::Status;
use tonic::body::Body;

use crate::Refusal;

/// A flag and a length stand before every gRPC message.
const PREFIX_BYTES: usize = 5;

/// The first message of a request, and the request as it was.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The message, decompressed.
    pub message: Bytes,
    /// A body that says what the opened one said. Holds no more than the first message; the rest streams.
    pub body: Body,
    /// Whether the body is no longer compressed.
    pub is_inflated: bool,
}

/// Reads the first message of a body, at most `bytes_max` of it.
///
/// `is_single`: nothing follows it, so a compressed message goes on decompressed and is not decompressed twice.
pub(crate) async fn open(
    mut body: Body,
    encoding: Option<&str>,
    bytes_max: usize,
    is_single: bool,
) -> Result<Opened, Refusal> {
    let mut read = BytesMut::new();
    let mut chunks = VecDeque::new();
    loop {
        if let Some((is_compressed, length)) = prefix(&read, bytes_max)?
            && read.len() >= PREFIX_BYTES + length
        {
            let read = read.freeze();
            let message = read.slice(PREFIX_BYTES..PREFIX_BYTES + length);
            let (message, chunk, is_inflated) = if is_compressed {
                let message = inflate(&message, encoding, bytes_max)?;
                if is_single { (message.clone(), framed(&message), true) } else { (message, read, false) }
            } else {
                (message, read, false)
            };
            chunks.push_front(Frame::data(chunk));
            return Ok(Opened { message, body: Body::new(Reopened { chunks, rest: body }), is_inflated });
        }
        let frame = body.frame().await.transpose().map_err(|status| broken(&status))?;
        match frame.map(Frame::into_data) {
            // The usual case: one chunk holds the whole message, and is not copied.
            Some(Ok(data)) if read.is_empty() => read = data.into(),
            Some(Ok(data)) => read.extend_from_slice(&data),
            Some(Err(trailers)) => chunks.push_back(trailers),
            None => return Err(Refusal::invalid("request", "has no message")),
        }
    }
}

/// The flag and the length, once they have arrived.
fn prefix(read: &[u8], bytes_max: usize) -> Result<Option<(bool, usize)>, Refusal> {
    let Some((&flag, rest)) = read.split_first() else { return Ok(None) };
    let Some(length) = rest.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    match flag {
        _ if length > bytes_max => Err(too_large(bytes_max)),
        0 => Ok(Some((false, length))),
        1 => Ok(Some((true, length))),
        _ => Err(Refusal::invalid("request", "is not a gRPC message")),
    }
}

/// Decompresses, giving up as soon as the limit is passed: a small message can claim to be a huge one.
fn inflate(message: &[u8], encoding: Option<&str>, bytes_max: usize) -> Result<Bytes, Refusal> {
    const WINDOW_LOG_MAX: u32 = 23;
    let limit = bytes_max as u64 + 1;
    let mut plain = vec![];
    let read = match encoding {
        Some("gzip") => flate2::read::GzDecoder::new(message).take(limit).read_to_end(&mut plain),
        Some("zstd") => zstd::stream::read::Decoder::new(message).and_then(|mut decoder| {
            decoder.window_log_max(WINDOW_LOG_MAX)?;
            decoder.take(limit).read_to_end(&mut plain)
        }),
        other => {
            let problem = format!("the encoding {:?} is not known; gzip and zstd are", other.unwrap_or("none"));
            return Err(Refusal::new(Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", problem));
        }
    };
    read.map_err(|fault| Refusal::invalid("request", format!("does not decompress: {fault}")))?;
    if plain.len() > bytes_max {
        return Err(too_large(bytes_max));
    }
    Ok(plain.into())
}

fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).expect("a message is below its limit"));
    framed.extend_from_slice(message);
    framed.freeze()
}

fn too_large(bytes_max: usize) -> Refusal {
    let message = format!("the request has more than the {bytes_max} bytes of the setting limits.message_bytes_max");
    Refusal::new(Code::ResourceExhausted, "REQUEST_TOO_LARGE", message).with("bytes_max", bytes_max)
}

fn broken(status: &Status) -> Refusal {
    Refusal::new(Code::Cancelled, "CANCELLED", format!("the request broke off: {}", status.message()))
}

/// What was read of a body, and the rest of it.
struct Reopened {
    chunks: VecDeque<Frame<Bytes>>,
    rest: Body,
}

impl http_body::Body for Reopened {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.chunks.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.chunks.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let read: u64 = self.chunks.iter().filter_map(Frame::data_ref).map(|data| data.len() as u64).sum();
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + read);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + read);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use http_body_util::StreamBody;

    use super::*;

    const MAX: usize = 1000;

    fn body(chunks: Vec<Vec<u8>>) -> Body {
        let frames = chunks.into_iter().map(|chunk| Ok::<_, Status>(Frame::data(Bytes::from(chunk))));
        Body::new(StreamBody::new(futures::stream::iter(frames)))
    }

    fn compressed(message: &[u8]) -> Vec<u8> {
        let mut frame = framed(message).to_vec();
        frame[0] = 1;
        frame
    }

    fn gzip(message: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
        encoder.write_all(message).unwrap();
        encoder.finish().unwrap()
    }

    async fn all(body: Body) -> Vec<u8> {
        body.collect().await.unwrap().to_bytes().to_vec()
    }

    #[tokio::test]
    async fn the_first_message_is_read_and_the_body_says_what_it_said() {
        let mut sent = framed(b"hello").to_vec();
        sent.extend_from_slice(&framed(b"and more"));
        for size in [1, 2, 3, 7, 10, sent.len()] {
            let chunks = sent.chunks(size).map(<[u8]>::to_vec).collect();
            let opened = open(body(chunks), None, MAX, false).await.unwrap();
            assert_eq!(opened.message, "hello");
            assert_eq!(all(opened.body).await, sent, "in chunks of {size}");
        }
    }

    #[tokio::test]
    async fn an_empty_message_is_a_message_and_an_empty_body_is_none() {
        assert_eq!(open(body(vec![framed(b"").to_vec()]), None, MAX, true).await.unwrap().message, "");
        assert_eq!(open(body(vec![]), None, MAX, true).await.unwrap_err().reason, "VALIDATION_ERROR");
        assert_eq!(
            open(body(vec![vec![0, 0, 0, 0, 9, 1]]), None, MAX, true).await.unwrap_err().reason,
            "VALIDATION_ERROR"
        );
    }

    #[tokio::test]
    async fn a_compressed_message_is_decompressed_once() {
        let zstd = zstd::encode_all(&b"hello"[..], 1).unwrap();
        for (encoding, packed) in [("gzip", gzip(b"hello")), ("zstd", zstd)] {
            let sent = compressed(&packed);
            let opened = open(body(vec![sent.clone()]), Some(encoding), MAX, true).await.unwrap();
            assert_eq!(opened.message, "hello");
            assert!(opened.is_inflated);
            assert_eq!(all(opened.body).await, framed(b"hello"));

            let opened = open(body(vec![sent.clone()]), Some(encoding), MAX, false).await.unwrap();
            assert_eq!((opened.message, opened.is_inflated), (Bytes::from("hello"), false));
            assert_eq!(all(opened.body).await, sent, "a stream of messages goes on as it came");
        }
        let unknown = open(body(vec![compressed(b"?")]), Some("br"), MAX, true).await.unwrap_err();
        assert_eq!(unknown.reason, "UNSUPPORTED_MEDIA_TYPE");
    }

    #[tokio::test]
    async fn a_message_beyond_the_limit_is_refused_before_it_is_read() {
        let mut claim = framed(b"x").to_vec();
        claim[1..5].copy_from_slice(&2_000_000_000u32.to_be_bytes());
        assert_eq!(open(body(vec![claim]), None, MAX, true).await.unwrap_err().reason, "REQUEST_TOO_LARGE");
        assert!(open(body(vec![framed(&[7; MAX]).to_vec()]), None, MAX, true).await.is_ok());
        assert!(open(body(vec![framed(&[7; MAX + 1]).to_vec()]), None, MAX, true).await.is_err());
    }

    #[tokio::test]
    async fn a_decompression_bomb_is_refused_at_the_limit() {
        let bomb = vec![0; 10_000_000];
        let zstd = zstd::encode_all(&bomb[..], 1).unwrap();
        for (encoding, packed) in [("gzip", gzip(&bomb)), ("zstd", zstd)] {
            let refused = open(body(vec![compressed(&packed)]), Some(encoding), 20_000, true).await.unwrap_err();
            assert_eq!(refused.reason, "REQUEST_TOO_LARGE", "{encoding}");
        }
    }
}
