//! Kinds of files: declarations are formatted more strictly than code.

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// `BUILD`, `BUILD.bazel`, `NAME.BUILD`
    Build,
    /// `WORKSPACE`, `WORKSPACE.bazel`
    Workspace,
    /// `NAME.bzl`
    Bzl,
    /// Other Starlark.
    Default,
}

impl FileKind {
    /// That of the file with the name `name`; nothing if it is no Starlark as far as names say.
    pub fn of_name(name: &str) -> Option<FileKind> {
        let (base, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        match (base, extension) {
            (_, "bzl") => Some(FileKind::Bzl),
            (_, "star" | "sky") => Some(FileKind::Default),
            ("BUILD", "" | "bazel" | "oss") | (_, "BUILD") => Some(FileKind::Build),
            ("WORKSPACE", "" | "bazel" | "bzlmod" | "oss") | (_, "WORKSPACE") => {
                Some(FileKind::Workspace)
            }
            (_, "bazel") if base.ends_with(".BUILD") => Some(FileKind::Build),
            _ => None,
        }
    }

    /// The one that is called `word` on command lines.
    pub fn of_word(word: &str) -> Option<FileKind> {
        match word {
            "build" => Some(FileKind::Build),
            "workspace" => Some(FileKind::Workspace),
            "bzl" => Some(FileKind::Bzl),
            "default" => Some(FileKind::Default),
            _ => None,
        }
    }

    /// Whether its statements declare things, one beside the other.
    pub(crate) fn is_declarative(self) -> bool {
        matches!(self, FileKind::Build | FileKind::Workspace)
    }
}
