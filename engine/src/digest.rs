//! Digests: the identity of bytes ([`Digest`]) and of structured data ([`Fingerprint`]).

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The identity of a blob: the SHA-256 of its bytes, and their number.
///
/// The pair is what the Remote Execution API calls a digest and what names a file below `cas/`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Digest {
    /// SHA-256 of the bytes.
    pub hash: [u8; 32],
    /// Number of bytes.
    pub size: u64,
}

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Digest { hash: Sha256::digest(bytes).into(), size: bytes.len() as u64 }
    }

    /// The hash as 64 lower-case hexadecimal digits.
    pub fn to_hex(&self) -> String {
        hex::encode(self.hash)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", hex::encode(self.hash), self.size)
    }
}

/// Makes a [`Digest`] of bytes that come in pieces.
#[derive(Default)]
pub struct Hasher {
    sha256: Sha256,
    size: u64,
}

impl Hasher {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// The digest of everything added.
    pub fn finish(self) -> Digest {
        Digest { hash: self.sha256.finalize().into(), size: self.size }
    }
}

/// The identity of structured data: a SHA-256 over an unambiguous encoding of it.
///
/// Keys, depset nodes, rules and configurations are identified by fingerprints. They are made
/// with a [`FingerprintBuilder`], whose framing makes different sequences of fields differ.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The fingerprint of one byte string.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        let mut builder = FingerprintBuilder::new("bytes");
        builder.bytes(bytes.as_ref());
        builder.finish()
    }

    /// As 64 lower-case hexadecimal digits.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Collects fields into a [`Fingerprint`].
///
/// Each field is preceded by its length, so that `("ab", "c")` and `("a", "bc")` differ, and the
/// whole by a domain, so that two kinds of data with equal fields differ.
pub struct FingerprintBuilder(Sha256);

impl FingerprintBuilder {
    /// Starts a fingerprint of the kind of data called `domain`.
    pub fn new(domain: &str) -> Self {
        let mut builder = FingerprintBuilder(Sha256::new());
        builder.str(domain);
        builder
    }

    /// Adds a byte string.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// Adds a text.
    pub fn str(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Adds a number.
    pub fn u64(&mut self, number: u64) -> &mut Self {
        self.0.update(number.to_le_bytes());
        self
    }

    /// Adds the fingerprint of a part.
    pub fn part(&mut self, part: &Fingerprint) -> &mut Self {
        self.0.update(part.0);
        self
    }

    /// Adds the digest of a blob.
    pub fn digest(&mut self, digest: &Digest) -> &mut Self {
        self.0.update(digest.hash);
        self.u64(digest.size)
    }

    /// The fingerprint of everything added.
    pub fn finish(self) -> Fingerprint {
        Fingerprint(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_together() {
        let of = |fields: &[&str]| {
            let mut builder = FingerprintBuilder::new("test");
            fields.iter().for_each(|field| {
                builder.str(field);
            });
            builder.finish()
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&[]), of(&[""]));
    }

    #[test]
    fn a_digest_is_that_of_sha256sum() {
        assert_eq!(
            Digest::of(b"abc").to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad/3"
        );
    }
}
