//! Keeps browsers away from the ports that POS software prints to.
//!
//! Any web page can have the browser on the till's PC send an HTTP request to a port of this machine, with a body that
//! the page chooses: a whole paper, or the frames of a fiscal printer. The page cannot read the answer, and needs none:
//! a receipt would be issued, or the day closed. But a browser sends a request line first, or begins with TLS, and no
//! printer is spoken to like that. So such a connection is hung up on before a byte of it is looked at.

use std::time::Duration;

use crate::transport::{Link, LinkError};

/// What a browser begins with: a method and the `/` of a path (`POST ` alone may be a post office), or a handshake of
/// TLS. Other methods than these it announces by an `OPTIONS` first.
const BROWSERS: [&[u8]; 9] = [
    b"GET /",
    b"POST /",
    b"HEAD /",
    b"PUT /",
    b"OPTIONS /",
    b"DELETE /",
    b"PATCH /",
    b"TRACE /",
    &[0x16, 0x03],
];

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// It may still turn out to be a browser.
    Unknown,
    Browser,
    Other,
}

/// A link whose other end is no browser; its first bytes are held back until that is known.
pub(super) struct NoBrowser<L> {
    link: L,
    name: String,
    held: Vec<u8>,
    caller: Caller,
}

impl<L: Link> NoBrowser<L> {
    /// Guards a link that was accepted at `name`.
    pub(super) fn new(link: L, name: String) -> Self {
        Self {
            link,
            name,
            held: Vec::new(),
            caller: Caller::Unknown,
        }
    }

    /// Hands out what was held back.
    fn give(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.held.len().min(buffer.len());
        let given = self.held.drain(..count);
        for (place, byte) in buffer.iter_mut().zip(given) {
            *place = byte;
        }
        count
    }

    fn refused(&self) -> LinkError {
        LinkError::Lost {
            link: self.name.clone(),
            why: "a browser speaks there".to_owned(),
        }
    }

    /// Reads while nobody knows who is there.
    fn first(&mut self, buffer: &mut [u8], at_most: Duration) -> Result<usize, LinkError> {
        match self.link.read(buffer, at_most) {
            Ok(read) => {
                let come = buffer.get(..read).unwrap_or_default();
                self.held.extend_from_slice(come);
                self.caller = caller(&self.held);
            }
            // He is gone before it was known: what came is no request.
            Err(error) if self.held.is_empty() => return Err(error),
            Err(_) => self.caller = Caller::Other,
        }
        match self.caller {
            Caller::Unknown => Ok(0),
            Caller::Other => Ok(self.give(buffer)),
            Caller::Browser => {
                self.held.clear();
                tracing::warn!(port = %self.name, "a browser has connected to a port for POS software; it was hung up on. A web page on this machine may have tried to sell");
                Err(self.refused())
            }
        }
    }
}

impl<L: Link> Link for NoBrowser<L> {
    fn read(&mut self, buffer: &mut [u8], at_most: Duration) -> Result<usize, LinkError> {
        match self.caller {
            Caller::Unknown => self.first(buffer, at_most),
            Caller::Browser => Err(self.refused()),
            Caller::Other if self.held.is_empty() => self.link.read(buffer, at_most),
            Caller::Other => Ok(self.give(buffer)),
        }
    }

    fn write(&mut self, bytes: &[u8], at_most: Duration) -> Result<usize, LinkError> {
        self.link.write(bytes, at_most)
    }
}

/// Who begins like this.
fn caller(bytes: &[u8]) -> Caller {
    if BROWSERS.iter().any(|begin| bytes.starts_with(begin)) {
        Caller::Browser
    } else if BROWSERS.iter().any(|begin| begin.starts_with(bytes)) {
        Caller::Unknown
    } else {
        Caller::Other
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Gives these pieces, then is lost.
    struct Pieces(VecDeque<Vec<u8>>);

    impl Link for Pieces {
        fn read(&mut self, buffer: &mut [u8], _: Duration) -> Result<usize, LinkError> {
            let gone = || LinkError::Lost {
                link: "pieces".to_owned(),
                why: "closed".to_owned(),
            };
            let piece = self.0.pop_front().ok_or_else(gone)?;
            buffer[..piece.len()].copy_from_slice(&piece);
            Ok(piece.len())
        }

        fn write(&mut self, bytes: &[u8], _: Duration) -> Result<usize, LinkError> {
            Ok(bytes.len())
        }
    }

    /// What comes through of these pieces, and why it ended.
    fn through(pieces: &[&[u8]]) -> (Vec<u8>, String) {
        let pieces = pieces.iter().map(|piece| piece.to_vec()).collect();
        let mut link = NoBrowser::new(Pieces(pieces), "tcp:9100".to_owned());
        let (mut all, mut buffer) = (Vec::new(), [0; 32]);
        loop {
            match link.read(&mut buffer, Duration::ZERO) {
                Ok(read) => all.extend_from_slice(&buffer[..read]),
                Err(LinkError::Lost { why, .. } | LinkError::Open { why, .. }) => {
                    let again = link.read(&mut buffer, Duration::ZERO);
                    assert!(again.is_err(), "it stays lost");
                    return (all, why);
                }
            }
        }
    }

    /// Nothing of a browser's request comes through, however it is cut; it is refused for good.
    #[test]
    fn browsers_are_hung_up_on() {
        for pieces in [
            &[b"POST / HTTP/1.1\r\n".as_slice(), b"\x1b@Bread"][..],
            &[b"P", b"OS", b"T ", b"/", b"\x1b@Bread"],
            &[b"GET /x", b"\x1b@Bread"],
            &[b"", b"OPTIONS /", b"x"],
            &[b"\x16", b"\x03\x01\x02", b"x"],
        ] {
            let (all, why) = through(pieces);
            assert_eq!(all, b"", "{pieces:?}");
            assert_eq!(why, "a browser speaks there", "{pieces:?}");
        }
    }

    /// Whatever a POS sends comes through whole, also if it begins like a method and goes on otherwise, or stops there.
    #[test]
    fn papers_come_through() {
        for pieces in [
            &[b"\x1b@POST OFFICE\n".as_slice(), b"Bread"][..],
            &[b"POST OFFICE\n", b"POST / HTTP/1.1\r\n"],
            &[b"P", b"O", b"ST ", b"OFFICE"],
            &[b"GET"],
            &[b"\x16", b"\x04"],
            &[b"\x01\x2b\x21"],
        ] {
            let (all, why) = through(pieces);
            assert_eq!(all, pieces.concat(), "{pieces:?}");
            assert_eq!(why, "closed");
        }
    }
}
