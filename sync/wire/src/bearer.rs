//! How a secret is shown over HTTP: `Authorization: Bearer`. A store shows its own to HQ so, and so do machines to HQ and
//! tills to a store: all of them are read here.

/// What is shown, of the values of all headers `Authorization`. None where there is none, where it is not `Bearer` and
/// something, and where there are two: it would be a guess which of them is meant.
#[must_use]
pub fn shown<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Option<&'a str> {
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    // Letters that look like a blank, or like nothing, are no blanks around a secret: they make it another one.
    if !value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
        return None;
    }
    let (scheme, secret) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    let secret = secret.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !secret.is_empty()).then_some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(values: &[&'a [u8]]) -> Option<&'a str> {
        shown(values.iter().copied())
    }

    /// One is read however its scheme is written; of two, equal ones too, neither counts.
    #[test]
    fn the_only_one_counts() {
        for good in [&b"Bearer x"[..], b"bearer x", b"BEARER  x "] {
            assert_eq!(of(&[good]), Some("x"));
        }
        for bad in [
            &b""[..],
            b"Bearer",
            b"Bearer ",
            b"x",
            b"Basic x",
            b"Bearerx",
            b"Bearer \xff",
            b"Bearer x\xc2\xa0",
            b"Bearer x\x0b",
            b"Bearer x\x7f",
        ] {
            assert_eq!(of(&[bad]), None, "{bad:?}");
        }
        assert_eq!(of(&[]), None);
        for other in [&b"Bearer x"[..], b"Bearer y", b""] {
            assert_eq!(of(&[b"Bearer x", other]), None);
            assert_eq!(of(&[other, b"Bearer x"]), None);
        }
    }
}
