//! Archives: their files in a directory, and nothing anywhere else.

use std::collections::HashSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use thiserror::Error;

/// Why an archive could not be unpacked.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// Its format is not one of those that we know.
    #[error(
        "`{0}` is no archive of a known kind: .tar, .tar.gz, .tgz, .tar.xz, .txz, .zip or .jar"
    )]
    Format(String),
    /// An entry would lie outside of the directory.
    #[error("the archive has the entry `{0}`, which leads out of it; it was not unpacked")]
    Escapes(String),
    /// A link would lead outside of the directory.
    #[error(
        "the archive has the link `{link}` to `{target}`, which leads out of it; it was not unpacked"
    )]
    LinkEscapes {
        /// The entry.
        link: String,
        /// Where it leads.
        target: String,
    },
    /// No entry lies below the prefix.
    #[error("the archive has no directory `{0}`, which `strip_prefix` names")]
    NoPrefix(String),
    /// A file could not be read or written.
    #[error("cannot unpack `{path}`: {source}")]
    Io {
        /// The archive, or the file in it.
        path: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The archive is damaged.
    #[error("the archive `{path}` is damaged: {reason}")]
    Damaged {
        /// The archive.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

/// How an archive is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `.tar`
    Tar,
    /// `.tar.gz`, `.tgz`
    TarGz,
    /// `.tar.xz`, `.txz`
    TarXz,
    /// `.zip`, `.jar`
    Zip,
}

impl Format {
    /// The format that the name of a file, or the argument `type`, says.
    pub fn of(name: &str) -> Result<Format, ArchiveError> {
        let name = name.to_ascii_lowercase();
        let is = |endings: &[&str]| {
            endings.iter().any(|ending| name == *ending || name.ends_with(&format!(".{ending}")))
        };
        if is(&["tar.gz", "tgz"]) {
            Ok(Format::TarGz)
        } else if is(&["tar.xz", "txz"]) {
            Ok(Format::TarXz)
        } else if is(&["tar"]) {
            Ok(Format::Tar)
        } else if is(&["zip", "jar", "war", "aar"]) {
            Ok(Format::Zip)
        } else {
            Err(ArchiveError::Format(name))
        }
    }
}

/// Unpacks the archive at `path` into the directory `to`, which must exist.
pub fn unpack(
    path: &Path,
    format: Format,
    strip_prefix: &str,
    to: &Path,
) -> Result<(), ArchiveError> {
    let shown = path.display().to_string();
    let io_error = |source| ArchiveError::Io { path: shown.clone(), source };
    let file = File::open(path).map_err(io_error)?;
    let mut target = Target::new(to, strip_prefix);
    match format {
        Format::Tar => target.tar(io::BufReader::new(file), &shown)?,
        Format::TarGz => target.tar(flate2::read::MultiGzDecoder::new(file), &shown)?,
        Format::TarXz => {
            let mut unpacked = Vec::new();
            lzma_rs::xz_decompress(&mut io::BufReader::new(file), &mut unpacked).map_err(
                |error| ArchiveError::Damaged { path: shown.clone(), reason: format!("{error:?}") },
            )?;
            target.tar(unpacked.as_slice(), &shown)?;
        }
        Format::Zip => target.zip(file, &shown)?,
    }
    if !target.found && !strip_prefix.is_empty() {
        return Err(ArchiveError::NoPrefix(strip_prefix.to_owned()));
    }
    Ok(())
}

struct Target<'a> {
    root: &'a Path,
    prefix: &'a Path,
    /// Whether anything lay below the prefix.
    found: bool,
    /// Links that were made, relative to the root: nothing is ever written through one.
    links: HashSet<PathBuf>,
}

/// What an entry is.
enum Entry<'a> {
    Directory,
    File { content: &'a mut dyn Read, mode: u32 },
    Symlink(PathBuf),
    Hardlink(PathBuf),
}

/// The path of an entry without `.` segments, if it stays inside.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(segment) => clean.push(segment),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(clean)
}

/// Whether a link at `link` with the text `target` stays inside: `..` only at the beginning, and
/// no more of them than there are directories above. Directories on the way are real ones.
fn link_stays_inside(link: &Path, target: &Path) -> bool {
    let depth = link.components().count() - 1;
    let mut ups = 0;
    let mut names = false;
    for component in target.components() {
        match component {
            Component::ParentDir if names => return false,
            Component::ParentDir => ups += 1,
            Component::Normal(_) => names = true,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    ups <= depth
}

impl<'a> Target<'a> {
    fn new(root: &'a Path, prefix: &'a str) -> Self {
        let prefix = Path::new(prefix.trim_matches('/'));
        Target { root, prefix, found: false, links: HashSet::new() }
    }

    fn tar(&mut self, reader: impl Read, shown: &str) -> Result<(), ArchiveError> {
        let damaged = |error: io::Error| ArchiveError::Damaged {
            path: shown.to_owned(),
            reason: error.to_string(),
        };
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries().map_err(damaged)? {
            let mut entry = entry.map_err(damaged)?;
            let path = entry.path().map_err(damaged)?.into_owned();
            let link = entry.link_name().map_err(damaged)?.map(|link| link.into_owned());
            let mode = entry.header().mode().map_err(damaged)?;
            let kind = entry.header().entry_type();
            let entry = match (kind, link) {
                (kind, _) if kind.is_dir() => Entry::Directory,
                (kind, Some(link)) if kind.is_symlink() => Entry::Symlink(link),
                (kind, Some(link)) if kind.is_hard_link() => Entry::Hardlink(link),
                (kind, _) if kind.is_file() || kind.is_contiguous() => {
                    Entry::File { content: &mut entry, mode }
                }
                // Headers of extensions and devices are not files of anybody.
                _ => continue,
            };
            self.add(&path, entry)?;
        }
        Ok(())
    }

    fn zip(&mut self, file: File, shown: &str) -> Result<(), ArchiveError> {
        let damaged = |error: zip::result::ZipError| ArchiveError::Damaged {
            path: shown.to_owned(),
            reason: error.to_string(),
        };
        let mut archive = zip::ZipArchive::new(file).map_err(damaged)?;
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).map_err(damaged)?;
            let path = PathBuf::from(entry.name());
            let mode = entry.unix_mode().unwrap_or(0o644);
            if entry.is_dir() {
                self.add(&path, Entry::Directory)?;
            } else if entry.is_symlink() {
                let mut text = String::new();
                entry.read_to_string(&mut text).map_err(|source| ArchiveError::Io {
                    path: path.display().to_string(),
                    source,
                })?;
                self.add(&path, Entry::Symlink(text.into()))?;
            } else {
                self.add(&path, Entry::File { content: &mut entry, mode })?;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, entry: Entry) -> Result<(), ArchiveError> {
        let escapes = || ArchiveError::Escapes(path.display().to_string());
        let clean = inside(path).ok_or_else(escapes)?;
        let Ok(relative) = clean.strip_prefix(self.prefix) else { return Ok(()) };
        self.found = true;
        if relative.as_os_str().is_empty() {
            return Ok(());
        }
        // A link that an earlier entry made is no directory to write to.
        if relative.ancestors().skip(1).any(|above| self.links.contains(above)) {
            return Err(escapes());
        }
        let full = self.root.join(relative);
        let io_error = |source| ArchiveError::Io { path: path.display().to_string(), source };
        if let Some(parent) = full.parent() {
            fs::create_dir_all(parent).map_err(io_error)?;
        }
        // Of two entries of one name the last counts; no link may be written through.
        if !matches!(entry, Entry::Directory) && full.symlink_metadata().is_ok_and(|m| !m.is_dir())
        {
            fs::remove_file(&full).map_err(io_error)?;
            self.links.remove(relative);
        }
        match entry {
            Entry::Directory if self.links.contains(relative) => return Err(escapes()),
            Entry::Directory => fs::create_dir_all(&full).map_err(io_error)?,
            Entry::File { content, mode } => {
                let mut file = File::create(&full).map_err(io_error)?;
                io::copy(content, &mut file).map_err(io_error)?;
                let mode = if mode & 0o100 != 0 { 0o755 } else { 0o644 };
                file.set_permissions(Permissions::from_mode(mode)).map_err(io_error)?;
            }
            Entry::Symlink(target) => {
                if !link_stays_inside(relative, &target) {
                    return Err(ArchiveError::LinkEscapes {
                        link: path.display().to_string(),
                        target: target.display().to_string(),
                    });
                }
                symlink(&target, &full).map_err(io_error)?;
                self.links.insert(relative.to_owned());
            }
            Entry::Hardlink(target) => {
                let source = inside(&target)
                    .and_then(|target| target.strip_prefix(self.prefix).map(Path::to_owned).ok())
                    .filter(|target| !target.ancestors().any(|part| self.links.contains(part)));
                let Some(source) = source else {
                    return Err(ArchiveError::LinkEscapes {
                        link: path.display().to_string(),
                        target: target.display().to_string(),
                    });
                };
                fs::copy(self.root.join(source), &full).map_err(io_error)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar_with(add: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        add(&mut builder);
        builder.into_inner().unwrap()
    }

    fn file(builder: &mut tar::Builder<Vec<u8>>, path: &str, text: &str) {
        let mut header = tar::Header::new_gnu();
        // `set_path` refuses `..`, which is what is to be tested.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, text.as_bytes()).unwrap();
    }

    fn link(builder: &mut tar::Builder<Vec<u8>>, path: &str, target: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        builder.append_link(&mut header, path, target).unwrap();
    }

    fn unpacked(bytes: &[u8], prefix: &str) -> (tempfile::TempDir, Result<(), String>) {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("a.tar");
        fs::write(&archive, bytes).unwrap();
        let to = dir.path().join("to");
        fs::create_dir(&to).unwrap();
        let result = unpack(&archive, Format::Tar, prefix, &to).map_err(|error| error.to_string());
        (dir, result)
    }

    #[test]
    fn a_prefix_is_stripped() {
        let bytes = tar_with(|builder| {
            file(builder, "p-1/a.txt", "a");
            file(builder, "other/b.txt", "b");
            link(builder, "p-1/d/l", "../a.txt");
        });
        let (dir, result) = unpacked(&bytes, "p-1");
        assert_eq!(result, Ok(()));
        assert_eq!(fs::read_to_string(dir.path().join("to/d/l")).unwrap(), "a");
        assert!(!dir.path().join("to/b.txt").exists());
        let (_, result) = unpacked(&bytes, "p-2");
        assert!(result.unwrap_err().contains("`p-2`"));
    }

    #[test]
    fn nothing_is_written_outside() {
        for bytes in [
            tar_with(|builder| file(builder, "../evil", "x")),
            tar_with(|builder| file(builder, "/evil", "x")),
            tar_with(|builder| link(builder, "l", "/etc/passwd")),
            tar_with(|builder| link(builder, "l", "../evil")),
            tar_with(|builder| link(builder, "d/l", "x/../../../evil")),
            tar_with(|builder| {
                link(builder, "d/up", "..");
                file(builder, "d/up/evil", "x");
            }),
        ] {
            let (dir, result) = unpacked(&bytes, "");
            assert!(result.unwrap_err().contains("leads out of it"));
            assert!(!dir.path().join("evil").exists());
        }
    }

    #[test]
    fn names_tell_formats() {
        assert_eq!(Format::of("a-1.2.tar.gz").unwrap(), Format::TarGz);
        assert_eq!(Format::of("tgz").unwrap(), Format::TarGz);
        assert_eq!(Format::of("A.ZIP").unwrap(), Format::Zip);
        assert!(Format::of("a.7z").is_err());
    }
}
