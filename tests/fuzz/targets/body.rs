//! Any bytes as a compressed body: decoded as another reader of gzip decodes them at once, within the limit, and nothing
//! stays held afterwards. What was compressed comes out as it was.

#![no_main]

use std::io::{Read as _, Write as _};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use hookbus::body::Encoding;
use hookbus::limit::{EndpointLimits, Limits};
use hookbus::message::Refusal;
use hookbus::settings;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

const CONFIG: &str = r#"
[http]
max_in_flight_bytes = "64MiB"

[nats]
servers = ["127.0.0.1:4222"]

[[endpoint]]
name = "vapi"
path = "/vapi"
source = "vapi"
auth = [{ kind = "none" }]
"#;
const IN_FLIGHT: usize = 64 << 20;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    is_zstd: bool,
    limit: u16,
    parts: Vec<Part<'a>>,
}

/// A part of what is received.
#[derive(Arbitrary, Debug)]
enum Part<'a> {
    Bytes(&'a [u8]),
    /// A member or a frame.
    Compressed(&'a [u8]),
    /// One whose content repeats, so that little becomes much.
    Repeated {
        byte: u8,
        times: u32,
    },
}

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));

static LIMITS: LazyLock<EndpointLimits> = LazyLock::new(|| {
    let loaded = settings::parse("hookbus.toml", CONFIG, |_| None);
    let config = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems));
    EndpointLimits::new(Arc::new(Limits::new(&config.http)), &config.endpoints[0])
});

fuzz_target!(|input: Input<'_>| {
    let (mut received, mut content) = (Vec::new(), Some(Vec::new()));
    for part in input.parts.iter().take(8) {
        let plain = match *part {
            Part::Bytes(bytes) => {
                received.extend(bytes);
                content = content.filter(|_| bytes.is_empty());
                continue;
            }
            Part::Compressed(plain) => plain.to_vec(),
            Part::Repeated { byte, times } => vec![byte; times as usize % (1 << 20)],
        };
        received.extend(if input.is_zstd { zstd(&plain) } else { gzip(&plain) });
        content = content.map(|content| [content, plain].concat());
    }
    let limit = usize::from(input.limit) * 8;
    let encoding = if input.is_zstd { Encoding::Zstd } else { Encoding::Gzip };
    let decoded = RUNTIME.block_on(async {
        let decoded = encoding.decode(received.clone().into(), limit, LIMITS.reservation()).await?;
        Ok::<_, Refusal>(decoded.0)
    });
    LIMITS.reservation().grow(IN_FLIGHT).expect("nothing is held any more");
    if let Ok(decoded) = &decoded {
        assert!(decoded.len() <= limit);
    }
    if !input.is_zstd {
        check(&decoded, once(&received, limit), limit);
    }
    if let Some(content) = content.filter(|_| !received.is_empty()) {
        let expected = (content.len() <= limit).then(|| content.into());
        check(&decoded, expected.ok_or(true), limit);
    }
});

/// An error says whether it is too large.
fn check(decoded: &Result<Bytes, Refusal>, expected: Result<Bytes, bool>, limit: usize) {
    match (decoded, expected) {
        (Ok(decoded), Ok(expected)) => assert!(*decoded == expected),
        (Err(Refusal::TooLarge { limit: said }), Err(true)) => assert_eq!(*said, limit),
        (Err(Refusal::Malformed(_)), Err(false)) => {}
        (decoded, expected) => panic!("{decoded:?} {expected:?}"),
    }
}

/// By the reader that has all of it.
fn once(received: &[u8], limit: usize) -> Result<Bytes, bool> {
    let (mut decoder, mut whole) = (MultiGzDecoder::new(received), Vec::new());
    let mut chunk = [0; 4096];
    loop {
        match decoder.read(&mut chunk) {
            Ok(0) => return Ok(whole.into()),
            Ok(read) => whole.extend(&chunk[..read]),
            Err(_) => return Err(false),
        }
        if whole.len() > limit {
            return Err(true);
        }
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
    zstd_safe::compress(&mut out, plain, 1).expect("there is room");
    out
}
