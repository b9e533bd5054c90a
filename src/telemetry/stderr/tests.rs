#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;

use super::*;

/// Something that writes as it is told: a number of bytes, or an error.
struct Scripted(mpsc::Receiver<io::Result<usize>>, mpsc::Sender<Vec<u8>>);

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.0.recv().unwrap()?.min(bytes.len());
        self.1.send(bytes[..length].to_vec()).unwrap();
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn start(out: impl Write + Send + 'static) -> Arc<Buffer> {
    let buffer = Arc::new(Buffer::default());
    let writer = buffer.clone();
    thread::spawn(move || writer.write_to(out));
    buffer
}

fn dropped(buffer: &Buffer) -> u64 {
    buffer.state.lock().dropped
}

#[test]
fn nobody_waits_for_a_reader_and_what_has_no_room_is_counted() {
    let (out, mut reader) = UnixStream::pair().unwrap();
    let buffer = start(out);
    let line = [&[b'x'; 99][..], b"\n"].concat();
    let began = Instant::now();
    // More than the socket and the buffer hold.
    for _ in 0..100_000 {
        buffer.add(&line);
    }
    assert!(began.elapsed() < Duration::from_secs(5));
    let lost = dropped(&buffer);
    assert!(lost > 10_000, "{lost}");
    let began = Instant::now();
    assert!(!buffer.flush(Duration::from_millis(200)));
    assert!(began.elapsed() < Duration::from_secs(2));

    // Everything else comes, whole and in order.
    let reading = thread::spawn(move || {
        let mut read = vec![0; (100_000 - lost as usize) * 100];
        reader.read_exact(&mut read).unwrap();
        read
    });
    assert!(buffer.flush(Duration::from_secs(5)));
    assert!(reading.join().unwrap().chunks(100).all(|read| read == line));
    assert_eq!(dropped(&buffer), lost);
}

#[test]
fn what_a_full_disk_refuses_is_counted_and_the_next_line_stands_alone() {
    let (script, steps) = mpsc::channel();
    let (written, seen) = mpsc::channel();
    let buffer = start(Scripted(steps, written));
    let full = || Err(io::ErrorKind::StorageFull.into());
    buffer.add(b"one\ntwo\nthree\n");
    // Torn in the middle of the second line.
    script.send(Ok(6)).unwrap();
    script.send(full()).unwrap();
    assert!(buffer.flush(Duration::from_secs(5)));
    assert_eq!(dropped(&buffer), 2);
    buffer.add(b"four\n");
    script.send(full()).unwrap();
    assert!(buffer.flush(Duration::from_secs(5)));
    assert_eq!(dropped(&buffer), 3);
    buffer.add(b"five\n");
    script.send(Err(io::ErrorKind::Interrupted.into())).unwrap();
    script.send(Err(io::ErrorKind::WouldBlock.into())).unwrap();
    for _ in 0..2 {
        script.send(Ok(100)).unwrap();
    }
    assert!(buffer.flush(Duration::from_secs(5)));
    assert_eq!(dropped(&buffer), 3);
    let text: Vec<u8> = seen.try_iter().flatten().collect();
    assert_eq!(text, b"one\ntw\nfive\n");
}
