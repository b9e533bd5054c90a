//! A captured request, in the forms that people have it in.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use serde::Deserialize;

/// A request, as far as the capture holds it.
#[derive(Debug)]
pub(super) struct Capture {
    pub(super) head: Parts,
    /// The body, where it is known.
    pub(super) body: Option<Bytes>,
    /// The body is what a program made of it, and may differ from the bytes on the wire.
    is_decoded: bool,
}

/// An HTTP archive, as browsers and proxies write it.
#[derive(Deserialize)]
struct Archive {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    request: Recorded,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recorded {
    method: String,
    url: String,
    headers: Vec<Field>,
    post_data: Option<PostData>,
}

#[derive(Deserialize)]
struct Field {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct PostData {
    text: Option<String>,
}

/// A whole request: an archive, what `curl -v` prints, or the bytes of the wire. `path` is the one that is meant, of
/// several.
pub(super) fn request(bytes: &[u8], path: &str) -> Result<Capture, String> {
    if let Ok(archive) = serde_json::from_slice::<Archive>(bytes) {
        return of_archive(archive, path);
    }
    let text = String::from_utf8_lossy(bytes);
    let lines = || text.lines().map(str::trim_end);
    let is_sent = |line: &str| line.strip_prefix("> ").is_some_and(|line| start(line).is_some());
    if let Some(at) = lines().position(is_sent) {
        let head = lines().skip(at).take_while(|line| line.starts_with('>'));
        let head: Vec<_> = head.map(|line| line.trim_start_matches('>').trim_start()).collect();
        return Ok(Capture { head: parse(&head, path)?, body: None, is_decoded: false });
    }
    if lines().next().and_then(start).is_none() {
        return Err("this holds no HTTP request".to_owned());
    }
    let ends = [(&b"\r\n\r\n"[..], 4), (b"\n\n", 2)].into_iter();
    let ends = ends.filter_map(|(end, length)| Some((find(bytes, end)?, length)));
    let (end, length) = ends.min().unwrap_or((bytes.len(), 0));
    let head = String::from_utf8_lossy(&bytes[..end]);
    let head = parse(&head.lines().map(str::trim_end).collect::<Vec<_>>(), path)?;
    let mut body = &bytes[end + length..];
    // Editors end files with a line break.
    if let Some(length) = content_length(&head).filter(|length| *length < body.len())
        && body[length..].trim_ascii().is_empty()
    {
        body = &body[..length];
    }
    Ok(Capture { head, body: Some(Bytes::copy_from_slice(body)), is_decoded: false })
}

/// Headers alone: lines, or a JSON object.
pub(super) fn headers(bytes: &[u8], path: &str) -> Result<Capture, String> {
    let text = String::from_utf8_lossy(bytes);
    let head = match serde_json::from_slice::<BTreeMap<String, String>>(bytes) {
        Ok(fields) => {
            let lines: Vec<_> =
                fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            parse(&lines.iter().map(String::as_str).collect::<Vec<_>>(), path)?
        }
        Err(_) => {
            let lines = text.lines().map(|line| line.trim_start_matches("> ").trim_end());
            parse(&lines.collect::<Vec<_>>(), path)?
        }
    };
    Ok(Capture { head, body: None, is_decoded: false })
}

fn of_archive(archive: Archive, path: &str) -> Result<Capture, String> {
    let mut all = archive.log.entries.into_iter().map(|entry| entry.request);
    let meant = |request: &Recorded| request.url.parse::<Uri>().is_ok_and(|url| url.path() == path);
    let all: Vec<_> = all.by_ref().collect();
    let at = all.iter().position(meant);
    let at = at.or_else(|| all.iter().position(|request| request.post_data.is_some()));
    let found = all.into_iter().nth(at.unwrap_or_default());
    let request = found.ok_or("the archive holds no request")?;
    let mut lines = vec![format!("{} {} HTTP/1.1", request.method, request.url)];
    // What HTTP/2 has instead of a request line begins with a colon.
    let fields = request.headers.iter().filter(|field| !field.name.starts_with(':'));
    lines.extend(fields.map(|field| format!("{}: {}", field.name, field.value)));
    let head = parse(&lines.iter().map(String::as_str).collect::<Vec<_>>(), path)?;
    let body = request.post_data.and_then(|data| data.text).map(Bytes::from);
    Ok(Capture { head, body, is_decoded: true })
}

/// A request line, taken apart.
fn start(line: &str) -> Option<(Method, &str)> {
    let mut words = line.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let is_request = version.starts_with("HTTP/") && words.next().is_none();
    is_request.then_some(())?;
    Some((method.parse().ok()?, target))
}

/// A head from its lines, with or without a request line; an empty line ends it.
fn parse(lines: &[&str], path: &str) -> Result<Parts, String> {
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = Method::POST;
    let mut target = path;
    let lines = lines.iter().enumerate().take_while(|(_, line)| !line.is_empty());
    for (at, line) in lines {
        if at == 0
            && let Some((method, written)) = start(line)
        {
            (head.method, target) = (method, written);
            continue;
        }
        let wrong = || format!("line {} is no header", at + 1);
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let name: HeaderName = name.trim().parse().map_err(|_| wrong())?;
        let value = HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| wrong())?;
        head.headers.append(name, value);
    }
    head.uri = target.parse().map_err(|_| format!("`{target}` is no URL"))?;
    if let Some(host) = head.uri.authority().map(|host| host.to_string())
        && !head.headers.contains_key(HOST)
        && let Ok(host) = HeaderValue::from_str(&host)
    {
        head.headers.insert(HOST, host);
    }
    Ok(head)
}

fn content_length(head: &Parts) -> Option<usize> {
    head.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

impl Capture {
    /// Whether the body is to be decoded before anything is read in it.
    pub(super) fn is_compressed(&self) -> bool {
        self.head.headers.contains_key(CONTENT_ENCODING)
    }

    /// What may be wrong with the capture itself.
    pub(super) fn notes(&self, body: &Bytes) -> Vec<String> {
        let mut notes = Vec::new();
        if self.body.is_none() && self.head.method != Method::GET {
            notes.push("the capture holds no body: --body FILE names it".to_owned());
        }
        if self.is_decoded && self.body.is_some() {
            notes.push(
                "an archive holds the body as text, which may differ from the bytes that came"
                    .to_owned(),
            );
        }
        if let Some(length) = content_length(&self.head)
            && self.body.is_some()
            && length != body.len()
        {
            let have = body.len();
            notes.push(format!("the body has {have} bytes, and Content-Length says {length}"));
        }
        if self.is_compressed() {
            notes.push("a signature covers the body as it was sent: compressed".to_owned());
        }
        if self.head.headers.contains_key(TRANSFER_ENCODING) {
            notes.push("the body must be given without the framing of its chunks".to_owned());
        }
        notes
    }
}

#[cfg(test)]
mod tests;
