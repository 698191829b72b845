//! Synthetic files: the `/etc` that every process sees, on every machine the same.

/// Files by path relative to the root. A declared input at the same path takes precedence.
pub fn files(network: bool) -> Vec<(&'static str, Vec<u8>)> {
    let text = |text: &str| text.as_bytes().to_vec();
    let mut files = vec![
        (
            "etc/passwd",
            text(
                "root:x:0:0:root:/:/bin/sh\n\
                 rbz:x:1000:1000:rbz:/rbz/home:/bin/sh\n\
                 nobody:x:65534:65534:nobody:/:/bin/false\n",
            ),
        ),
        ("etc/group", text("root:x:0:\nrbz:x:1000:\nnogroup:x:65534:\n")),
        ("etc/hosts", text("127.0.0.1 localhost\n::1 localhost\n")),
        (
            "etc/nsswitch.conf",
            text("passwd: files\ngroup: files\nhosts: files dns\nservices: files\n"),
        ),
        ("etc/localtime", utc()),
    ];
    if network {
        // How names are resolved is the machine's affair; without the file: by itself.
        if let Ok(resolver) = std::fs::read("/etc/resolv.conf") {
            files.push(("etc/resolv.conf", resolver));
        }
    }
    files
}

/// Directories that every view has, relative to the root: most of them to mount on.
pub const DIRECTORIES: [&str; 6] = ["dev", "proc", "tmp", "etc", "rbz/execroot", "rbz/home"];

/// The time zone UTC in the format of `tzfile(5)`, version 2.
fn utc() -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..2 {
        bytes.extend_from_slice(b"TZif2");
        bytes.extend_from_slice(&[0; 15]);
        // No leap seconds, indicators or transitions; one type with a name of four bytes.
        for count in [0u32, 0, 0, 0, 1, 4] {
            bytes.extend_from_slice(&count.to_be_bytes());
        }
        // Offset 0, no summer time, name at 0.
        bytes.extend_from_slice(&[0; 6]);
        bytes.extend_from_slice(b"UTC\0");
    }
    bytes.extend_from_slice(b"\nUTC0\n");
    bytes
}
