//! Gzip: members one after the other, then zeros or nothing.
//!
//! ```text
//! ┌ header ┬ deflated data ┬ crc32, size ┐┌ next member ┐ … ┌ zeros, where a tape or a disk filled a block ┐
//! └────────┴───────────────┴─────────────┘└─────────────┘   └─────────────────────────────────────────────┘
//! ```
//! Checked: what each member's end says of its data; that nothing but members and zeros follows. Defined in RFC 1952;
//! gzip itself passes over the zeros.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// The first byte of a member.
const MAGIC: u8 = 0x1f;

/// Unpacks all members of `R`.
#[derive(Debug)]
pub(super) struct Gunzip<R> {
    /// The member at hand; none behind the last one.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Gunzip<R> {
    /// Begins with the first member.
    pub(super) fn new(packed: R) -> Self {
        Self { member: Some(GzDecoder::new(packed)) }
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(member) = &mut self.member {
            let read = member.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            let is_end = skip_zeros(member.get_mut())?;
            let packed = self.member.take().map(GzDecoder::into_inner);
            self.member = packed.filter(|_| !is_end).map(GzDecoder::new);
        }
        Ok(0)
    }
}

/// Passes over zeros; true when nothing follows.
fn skip_zeros(packed: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let bytes = packed.fill_buf()?;
        if bytes.is_empty() {
            return Ok(true);
        }
        match bytes.iter().position(|&byte| byte != 0) {
            Some(at) => {
                if bytes.get(at) != Some(&MAGIC) {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "what follows is neither gzip nor zeros",
                    ));
                }
                packed.consume(at);
                return Ok(false);
            }
            None => {
                let zeros = bytes.len();
                packed.consume(zeros);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::gzip;
    use super::*;

    /// What is unpacked when the bytes come in small pieces, and how it ended.
    fn unpacked(packed: &[u8]) -> (Vec<u8>, io::Result<usize>) {
        let mut bytes = Vec::new();
        let result = Gunzip::new(io::BufReader::with_capacity(7, packed)).read_to_end(&mut bytes);
        (bytes, result)
    }

    #[test]
    fn members_and_zeros_are_read_to_the_end_and_anything_else_is_an_error() {
        let (a, b) = (gzip(b"first "), gzip(b"second"));
        for zeros in [0, 1, 7, 4096] {
            let zeros = vec![0; zeros];
            let (bytes, result) = unpacked(&[&a[..], &zeros, &b, &zeros].concat());
            assert_eq!((bytes.as_slice(), result.unwrap()), (&b"first second"[..], 12));
            let (bytes, result) = unpacked(&[&a[..], &zeros, b"rubbish of some length"].concat());
            assert_eq!(bytes, b"first ");
            result.unwrap_err();
        }
        let (_, result) = unpacked(&[&a[..], &b[..b.len() - 1]].concat());
        result.unwrap_err();
        let mut wrong = a.clone();
        let checksum = wrong.len() - 8;
        wrong[checksum] ^= 1;
        unpacked(&[&wrong[..], &[0; 9]].concat()).1.unwrap_err();
    }
}
