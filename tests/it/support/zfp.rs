//! Frames of a Tremol printer, as point-of-sale software builds them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// The software's end of the line.
pub(crate) struct Zfp {
    pub(crate) stream: TcpStream,
    number: u8,
}

/// What the printer said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// Done, or why not: `00` is done.
    Acknowledged(String),
    /// Data.
    Data(Vec<u8>),
}

impl Zfp {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            number: 0x20,
        }
    }

    /// A frame with a number of its own.
    pub(crate) fn frame(&mut self, command: u8, data: &str) -> Vec<u8> {
        self.number = if self.number >= 0x9e {
            0x20
        } else {
            self.number + 1
        };
        let length = 0x23 + u8::try_from(data.len()).unwrap();
        let mut frame = vec![0x02, length, self.number, command];
        frame.extend_from_slice(data.as_bytes());
        let xor = frame[1..].iter().fold(0_u8, |sum, byte| sum ^ byte);
        frame.extend([0x30 + xor / 16, 0x30 + xor % 16, 0x0a]);
        frame
    }

    /// Sends a frame and reads the reply.
    pub(crate) fn send(&mut self, frame: &[u8]) -> Said {
        self.stream.write_all(frame).unwrap();
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).unwrap();
        if head[0] == 0x06 {
            let mut rest = [0; 5];
            self.stream.read_exact(&mut rest).unwrap();
            assert_eq!((head[1], rest[4]), (frame[2], 0x0a));
            return Said::Acknowledged(String::from_utf8(rest[..2].to_vec()).unwrap());
        }
        assert_eq!(head[0], 0x02, "neither an answer nor an acknowledgement");
        let mut rest = vec![0; usize::from(head[1]) - 0x20 + 2];
        self.stream.read_exact(&mut rest).unwrap();
        assert_eq!((rest[0], rest[1]), (frame[2], frame[3]), "number, command");
        Said::Data(rest[2..rest.len() - 3].to_vec())
    }

    pub(crate) fn ask(&mut self, command: u8, data: &str) -> Said {
        let frame = self.frame(command, data);
        self.send(&frame)
    }

    /// Must be done.
    #[track_caller]
    pub(crate) fn must(&mut self, command: u8, data: &str) {
        let said = self.ask(command, data);
        assert_eq!(
            said,
            Said::Acknowledged("00".to_owned()),
            "{command:02X} {data}"
        );
    }

    /// Must be answered with this text.
    #[track_caller]
    pub(crate) fn tells(&mut self, command: u8, data: &str, text: &str) {
        let said = self.ask(command, data);
        assert_eq!(
            said,
            Said::Data(text.as_bytes().to_vec()),
            "{command:02X} {data}"
        );
    }
}
