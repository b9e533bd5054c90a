use super::*;

/// Whether it passes, whole and byte by byte, and where it ends.
fn passes(text: &str) -> (bool, State) {
    let mut whole = Framing::default();
    let mut bytes = text.as_bytes().to_vec();
    whole.follow(&mut bytes);
    let mut single = Framing::default();
    let mut singles = text.as_bytes().to_vec();
    singles.chunks_mut(1).for_each(|byte| single.follow(byte));
    assert_eq!((&bytes, whole.state), (&singles, single.state), "{text:?}");
    (bytes == text.as_bytes(), whole.state)
}

#[test]
fn the_end_of_each_request_is_known() {
    let long = format!("x: {}\r\n", "y".repeat(1_000));
    for text in [
        "POST / HTTP/1.1\r\nhost: a\r\n\r\n",
        "\r\n\r\nPOST / HTTP/1.1\r\nContent-Length:5\r\n\r\n\n\n\r\nx",
        "POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\nPOST / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3;x=\"y\"\r\na\nb\r\n0A\r\n0123456789\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\ncontent-length: 1\r\na: b\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc",
        &format!("POST / HTTP/1.1\r\n{long}content-length: 3\r\n{long}\r\nabc"),
    ] {
        assert_eq!(passes(text), (true, State::Between), "{text:?}");
        assert_eq!(passes(&text.repeat(3)), (true, State::Between), "{text:?}");
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_spoilt() {
    for head in [
        "content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n",
        "transfer-encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        "TRANSFER-ENCODING:chunked\r\nx: y\r\ncontent-length:3\r\n\r\n",
        "content-length: x\r\ntransfer-encoding: chunked\r\n\r\n",
        "content-length: +3\r\n\r\n",
        "content-length: 00000000000000000000000000000000000003\r\n\r\n",
        "content-length: 3\r\ncontent-length: 4\r\n\r\n",
        "transfer-encoding: gzip, chunked\r\n\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n00000000000000000000000000000000000000000000003\r\n",
        "transfer-encoding: chunked\r\n\r\n-3\r\n",
        "transfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n",
        "x: y\nz: a\r\n\r\n",
        "x: y\r\n\n",
    ] {
        let first = "POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\nx";
        let request = format!("POST / HTTP/1.1\r\n{head}3\r\nabc\r\n0\r\n\r\n");
        assert_eq!(passes(&request), (false, State::Lost), "{head:?}");
        assert_eq!(passes(&format!("{first}{request}")), (false, State::Lost), "{head:?}");
    }
    assert!(!passes("POST / HTTP/1.1\n\n").0);
}

#[test]
fn frames_of_http2_are_left_alone() {
    assert!(passes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\n\0\n\n\n").0);
}
