//! What the wire does to a body - how it is split, compressed, cut off, bent - and what comes out.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::convert::Infallible;
use std::io::Write as _;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use http_body::Frame;
use http_body_util::StreamBody;

use super::encoding::{OUTPUT_CHUNK, YIELD_BYTES};
use super::*;
use crate::config::Http;
use crate::config::units::Size;
use crate::limit::{EndpointLimits, Limits};

const LIMIT: usize = 100_000;

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zstd(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(zstd_safe::compress_bound(body.len()));
    zstd_safe::compress(&mut out, body, 3).unwrap();
    out
}

fn compress(encoding: Encoding, body: &[u8]) -> Vec<u8> {
    match encoding {
        Encoding::Gzip => gzip(body),
        Encoding::Zstd => zstd(body),
    }
}

fn limits(http: Http) -> EndpointLimits {
    let endpoint = "name = \"a\"\npath = \"/a\"\nsource = \"vapi\"";
    EndpointLimits::new(Arc::new(Limits::new(&http)), &toml::from_str(endpoint).unwrap())
}

async fn decode(encoding: Encoding, received: impl Into<Bytes>) -> Result<Bytes, Refusal> {
    let reservation = limits(Http::default()).reservation();
    Ok(encoding.decode(received.into(), LIMIT, reservation).await?.0)
}

/// The same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % limit
    }

    /// Some text that can be compressed, and in parts can't.
    fn body(&mut self, length: usize) -> Vec<u8> {
        let mut body = Vec::with_capacity(length);
        while body.len() < length {
            match self.below(3) {
                0 => body.extend(vec![b' '; self.below(5_000)]),
                1 => body.extend_from_slice(b"{\"message\":{\"type\":\"hang\"}}"),
                _ => body.extend((0..self.below(500)).map(|_| self.below(256) as u8)),
            }
        }
        body.truncate(length);
        body
    }
}

/// However a body is split into frames, members and frames of an encoding, it is the same body.
#[tokio::test]
async fn any_split_is_the_same_body() {
    let mut random = Random(7);
    for round in 0..100 {
        let length = if round < 70 { random.below(300) } else { random.below(LIMIT) };
        let body = random.body(length);
        for encoding in [None, Some(Encoding::Gzip), Some(Encoding::Zstd)] {
            let sent = match encoding {
                None => body.clone(),
                Some(encoding) => {
                    let (first, second) = body.split_at(random.below(length + 1));
                    [compress(encoding, first), compress(encoding, second)].concat()
                }
            };
            let largest = 1 + random.below(sent.len() + 1);
            let mut rest = Bytes::from(sent);
            let mut frames = Vec::new();
            while !rest.is_empty() {
                let part = rest.split_to((1 + random.below(largest)).min(rest.len()));
                frames.push(Ok::<_, Infallible>(Frame::data(part)));
                if random.below(8) == 0 {
                    frames.push(Ok(Frame::data(Bytes::new())));
                }
            }
            let limits = limits(Http::default());
            let mut reading = limits.reading(random.below(2) == 0).unwrap();
            let mut wire = StreamBody::new(stream::iter(frames));
            let time = Duration::from_secs(60);
            let mut parts = Vec::new();
            let read =
                read(&mut wire, 2 * LIMIT, time, &mut reading, |part| parts.push(part.to_vec()));
            let read = read.await.unwrap();
            assert!(parts.is_empty() || parts.concat() == read, "all of it, or nothing");
            let (_, reservation) = limits.verified(reading, read.len()).unwrap();
            let whole = match encoding {
                None => read,
                Some(encoding) => encoding.decode(read, LIMIT, reservation).await.unwrap().0,
            };
            assert!(whole == body, "{encoding:?}, {length} bytes, round {round}");
        }
    }
}

#[tokio::test]
async fn the_limit_is_that_of_the_decoded_body() {
    let too_large = Err(Refusal::TooLarge { limit: LIMIT });
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let fits = compress(encoding, &[0; LIMIT]);
        assert_eq!(decode(encoding, fits).await.unwrap().len(), LIMIT);
        assert_eq!(decode(encoding, compress(encoding, &[0; LIMIT + 1])).await, too_large);
        assert_eq!(decode(encoding, compress(encoding, &[0; 20 << 20])).await, too_large);
        // Many small members are one body.
        let many = compress(encoding, &[0; 1_000]).repeat(LIMIT / 1_000 + 1);
        assert_eq!(decode(encoding, many).await, too_large);
    }
}

#[tokio::test]
async fn what_is_decoded_is_charged() {
    let limits = limits(Http { max_in_flight_bytes: Size::mib(1), ..Http::default() });
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let bomb = Bytes::from(compress(encoding, &[0; 10 << 20]));
        let result = encoding.decode(bomb, 8 << 20, limits.reservation()).await;
        assert_eq!(result.err(), Some(Refusal::Overloaded("bytes in flight")));

        let mut received = limits.reservation();
        received.grow(50_000).unwrap();
        let body = Bytes::from(compress(encoding, &[0; 100_000]));
        let (body, reservation) = encoding.decode(body, 8 << 20, received).await.unwrap();
        // The rest is free again, to the byte.
        let mut others = limits.reservation();
        others.grow((1 << 20) - body.len()).unwrap();
        assert!(others.grow(1).is_err());
        drop(reservation);
        others.grow(body.len()).unwrap();
    }
}

#[tokio::test]
async fn what_is_cut_off_or_bent_is_malformed() {
    let mut random = Random(11);
    let body = random.body(2_000);
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let good = compress(encoding, &body);
        // Of nothing at all zstd makes nothing, which is no webhook either.
        for end in 1..good.len() {
            let result = decode(encoding, good[..end].to_vec()).await;
            assert!(matches!(result, Err(Refusal::Malformed(_))), "{encoding:?} cut at {end}");
        }
        for behind in [&b"\0"[..], b"x", b"\x1f\x8b", &[0; 100], b"{\"message\":{}}"] {
            let result = decode(encoding, [&good, behind].concat()).await;
            assert!(matches!(result, Err(Refusal::Malformed(_))), "{encoding:?} {behind:?}");
        }
        for _ in 0..1_000 {
            let mut bent = good.clone();
            let place = random.below(bent.len());
            bent[place] ^= 1 << random.below(8);
            // It may be the same body still, or none: never a panic, and never more than may be.
            if let Ok(whole) = decode(encoding, bent).await {
                assert!(whole.len() <= LIMIT);
            }
        }
    }
    assert!(matches!(decode(Encoding::Gzip, zstd(&body)).await, Err(Refusal::Malformed(_))));
    assert!(matches!(decode(Encoding::Zstd, gzip(&body)).await, Err(Refusal::Malformed(_))));
}

#[tokio::test]
async fn frames_of_zstd() {
    let body = b"{}".repeat(100);
    let skipped = b"\x50\x2a\x4d\x18\x03\0\0\0abc";
    let whole = decode(Encoding::Zstd, [skipped, &zstd(&body)[..], skipped].concat()).await;
    assert_eq!(whole.unwrap(), body);
    // Formats of before the standard, which the library could read too.
    for version in 0x22..=0x27 {
        let old = [&[version, 0xb5, 0x2f, 0xfd][..], &zstd(&body)[4..]].concat();
        assert!(decode(Encoding::Zstd, old).await.is_err());
    }
    // A frame whose header asks for a window of so many bytes, with one empty block.
    let window = |log: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3, 1, 0, 0];
    assert_eq!(decode(Encoding::Zstd, window(23).to_vec()).await.unwrap(), "");
    for log in [24, 27, 31, 41] {
        assert!(decode(Encoding::Zstd, window(log).to_vec()).await.is_err(), "{log}");
    }
}

#[test]
fn encodings_are_told_by_their_names() {
    let of = |values: &[&str]| {
        let values = values.iter().map(|value| (CONTENT_ENCODING, value.parse().unwrap()));
        let mut headers = HeaderMap::new();
        values.for_each(|(name, value)| _ = headers.append(name, value));
        Encoding::of(&headers)
    };
    for none in [&[][..], &["identity"], &["Identity", "identity"]] {
        assert_eq!(of(none), Ok(None));
    }
    for name in ["gzip", "GZip", "x-gzip"] {
        assert_eq!(of(&[name]), Ok(Some(Encoding::Gzip)));
    }
    assert_eq!(of(&["ZSTD"]), Ok(Some(Encoding::Zstd)));
    for wrong in [&["br"][..], &["gzip, gzip"], &["gzip", "gzip"], &["gzip", "zstd"], &[""]] {
        assert_eq!(of(wrong), Err(Refusal::Encoding), "{wrong:?}");
    }
}

/// A body that grows a thousand times is decoded in steps, so that it holds up nobody. What the longest of them takes
/// is shown: `cargo test --release a_bomb -- --nocapture`.
#[test]
fn a_bomb_is_decoded_in_short_polls() {
    use std::task::{Context, Poll, Waker};
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let bomb = Bytes::from(compress(encoding, &[0; 10 << 20]));
        let small = Bytes::from(compress(encoding, &[0; 60_000]));
        let limits = limits(Http::default());
        let polls = |body: Bytes| {
            let mut decoding =
                std::pin::pin!(encoding.decode(body, 10 << 20, limits.reservation()));
            let mut longest = Duration::ZERO;
            for count in 1.. {
                let began = std::time::Instant::now();
                let polled = decoding.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                longest = longest.max(began.elapsed());
                if let Poll::Ready(decoded) = polled {
                    return (decoded.unwrap().0.len(), count, longest);
                }
            }
            unreachable!("it ends");
        };
        let (size, count, longest) = polls(bomb);
        println!("{encoding:?}: {size} bytes in {count} polls, the longest {longest:?}");
        assert_eq!(size, 10 << 20);
        assert!(count >= (10 << 20) / (YIELD_BYTES + OUTPUT_CHUNK), "{count} polls");
        // A usual one is done at once.
        assert_eq!(polls(small).1, 1);
    }
}
