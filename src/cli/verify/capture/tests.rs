#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use super::*;

fn seen(capture: &Capture) -> (String, String, String, Option<&[u8]>) {
    let Capture { head, body, .. } = capture;
    let header =
        |name: &str| head.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    (format!("{} {}", head.method, head.uri), header("x-a"), header("host"), body.as_deref())
}

fn expected<'a>(
    line: &str,
    host: &str,
    body: Option<&'a [u8]>,
) -> (String, String, String, Option<&'a [u8]>) {
    (line.to_owned(), "1".to_owned(), host.to_owned(), body)
}

#[test]
fn a_request_in_each_of_its_forms() {
    let raw = b"PUT /x?q=1 HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nContent-Length: 4\r\n\r\n{}\r\n\n";
    let found = request(raw, "/").unwrap();
    assert_eq!(seen(&found), expected("PUT /x?q=1", "h", Some(b"{}\r\n")));
    let bare = b"POST /x HTTP/2\nX-A: 1\n\na\n\nb\n";
    assert_eq!(seen(&request(bare, "/").unwrap()), expected("POST /x", "", Some(b"a\n\nb\n")));
    let curl = b"* Connected\n> POST /x HTTP/1.1\n> Host: h\n> X-A: 1\n>\n} [2 bytes data]\n< HTTP/1.1 401\n< x-a: 2\n";
    let found = request(curl, "/").unwrap();
    assert_eq!(seen(&found), expected("POST /x", "h", None));
    assert!(found.notes(&Bytes::new())[0].contains("--body FILE"));
    let har = br#"{"log":{"entries":[
            {"request":{"method":"GET","url":"https://h/","headers":[]}},
            {"request":{"method":"POST","url":"https://h/x","headers":[{"name":":path","value":"/x"},{"name":"X-A","value":"1"}],
             "postData":{"mimeType":"application/json","text":"{}"}}}]}}"#;
    assert_eq!(seen(&request(har, "/x").unwrap()), expected("POST https://h/x", "h", Some(b"{}")));
    assert!(request(b"", "/").is_err());
    assert!(request(b"{}", "/").is_err());
    assert!(request(b"POST /x HTTP/1.1\nno header\n\n", "/").unwrap_err().contains("line 2"));
}

#[test]
fn headers_alone() {
    for text in ["X-A: 1\nHost: h\n", "> x-a: 1\n> host: h", r#"{"X-A": "1", "host": "h"}"#] {
        let found = headers(text.as_bytes(), "/shop").unwrap();
        assert_eq!(seen(&found), expected("POST /shop", "h", None), "{text}");
    }
}
