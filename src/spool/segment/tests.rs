#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::Write;

use super::*;

const HEADER_OF_TEST: Header = Header { id: 7, first: 3, time: 99 };

fn segment(bodies: &[&[u8]]) -> Vec<u8> {
    let mut bytes = HEADER_OF_TEST.bytes();
    for (sequence, body) in (3..).zip(bodies) {
        bytes.extend(head(7, sequence, 1, body.len(), crc32c(body)));
        bytes.extend(*body);
    }
    bytes
}

fn file(bytes: &[u8]) -> Arc<dyn File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Arc::new(file)
}

fn scan(bytes: &[u8]) -> Vec<Result<u64, Range<u64>>> {
    let mut scan = Scan::new(file(bytes), 7, START..bytes.len() as u64);
    let mut all = Vec::new();
    while let Some(found) = scan.next().unwrap() {
        all.push(match found {
            Scanned::Frame(frame) => Ok(frame.sequence),
            Scanned::Damage(range) => Err(range),
        });
    }
    all
}

#[test]
fn frames() {
    let mut bytes = segment(&[b"one", b"", b"three"]);
    assert_eq!(scan(&bytes), [Ok(3), Ok(4), Ok(5)]);
    bytes.extend(footer(7, 6));
    assert_eq!(scan(&bytes), [Ok(3), Ok(4), Ok(5)]);
    let file = file(&bytes);
    let length = bytes.len() as u64;
    assert_eq!(read_footer(&*file, 7, length).unwrap(), Some(6));
    assert_eq!(read_footer(&*file, 8, length).unwrap(), None);
    assert_eq!(read_footer(&*file, 7, length - 1).unwrap(), None);
}

#[test]
fn a_flipped_bit_takes_its_frame_alone() {
    let bytes = segment(&[b"one", b"two", b"three"]);
    let frame = START + size(3)..START + 2 * size(3);
    for bit in frame.start * 8..frame.end * 8 {
        let mut bytes = bytes.clone();
        bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        assert_eq!(scan(&bytes), [Ok(3), Err(frame.clone()), Ok(5)], "{bit}");
    }
}

#[test]
fn a_flipped_bit_leaves_one_header() {
    let bytes = segment(&[]);
    for bit in 0..START * 8 {
        let mut bytes = bytes.clone();
        bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        assert_eq!(Header::read(&*file(&bytes)).unwrap(), Some(HEADER_OF_TEST));
    }
}

#[test]
fn a_cut_ends_at_the_last_whole_frame() {
    let bytes = segment(&[b"one", b"two"]);
    for length in START..START + size(3) {
        let cut = &bytes[..length as usize];
        let rest = (length > START).then_some(Err(START..length));
        assert_eq!(scan(cut), rest.into_iter().collect::<Vec<_>>());
    }
    let second = START + size(3);
    for length in second + 1..bytes.len() as u64 {
        assert_eq!(scan(&bytes[..length as usize]), [Ok(3), Err(second..length)]);
    }
}

#[test]
fn a_frame_of_another_segment_inside_a_body_is_none() {
    let body = b"evil";
    let mut forged = head(8, 4, 1, body.len(), crc32c(body)).to_vec();
    forged.extend(body);
    let mut bytes = segment(&[&forged, b"two"]);
    bytes[START as usize] ^= 1;
    let second = START + size(forged.len());
    assert_eq!(scan(&bytes), [Err(START..second), Ok(4)]);
}
