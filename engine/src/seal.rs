//! Seals: what lets a build be found done without its plan.
//!
//! When a build had nothing to do, its seal is written: the stamp of everything that the build looked
//! at and of every output, directory by directory, and what is told of the build. While all of it
//! holds, the same request has nothing to do. To find that out, each path is looked at once, and
//! nothing else is read but the seal: no plan, no log, no graph.
//!
//! Stamps as young as the session that took them say nothing (see [`crate::file_state`]), so a build
//! that looked at such a file gets no seal.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::answer_files::AnswerFiles;
use crate::dependency::Dependency;
use crate::depset::SavedDepsets;
use crate::digest::Fingerprint;
use crate::event::TestSummary;
use crate::file_state::FileStat;
use crate::files::{self, FileResult, Kind, Stamp};
use crate::output_tree::Placed;
use crate::plan::RequestedTarget;

/// How many seals are kept.
const LIMIT: usize = 16;

/// The form of the files; to be changed when anything in a seal is.
const FORMAT: &[u8] = b"rbz seal 3\n";

/// What is told of a build that has nothing to do.
#[derive(Clone, Debug)]
pub struct Told {
    /// Name of the main workspace.
    pub workspace: Arc<str>,
    /// Name of the configuration of the first target.
    pub configuration: Arc<str>,
    /// How many actions are up to date.
    pub actions: usize,
    /// The targets that the command line named; empty if they are too many to be listed.
    pub requested: Vec<RequestedTarget>,
    /// The results of tests.
    pub tests: Vec<TestSummary>,
}

/// What a path must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Expected {
    /// Nothing, links followed.
    Absent,
    /// A file of this state, links followed.
    File { stamp: Stamp, executable: bool },
    /// A directory, links followed.
    Directory,
    /// Something else, links followed.
    Other,
    /// A directory of this state: nothing has come or gone in it.
    Listing(Stamp),
    /// An output as it was put there.
    Output(Placed),
}

impl From<FileStat> for Expected {
    fn from(stat: FileStat) -> Self {
        match stat {
            FileStat::Absent => Expected::Absent,
            FileStat::File { stamp, executable } => Expected::File { stamp, executable },
            FileStat::Directory => Expected::Directory,
            FileStat::Other => Expected::Other,
        }
    }
}

impl Expected {
    fn follows_links(&self) -> bool {
        !matches!(self, Expected::Output(_))
    }

    fn is(&self, found: Option<(Kind, Stamp)>) -> bool {
        match (self, found) {
            (Expected::Absent, None) => true,
            (Expected::Directory, Some((Kind::Directory, _))) => true,
            (Expected::Other, Some((Kind::Other, _))) => true,
            (Expected::File { stamp, executable }, Some((Kind::File { executable: e, .. }, s))) => {
                (*stamp, *executable) == (s, e)
            }
            (Expected::Listing(stamp), Some((Kind::Directory, found))) => *stamp == found,
            (Expected::Output(placed), Some((kind, stamp))) => *placed == Placed::new(kind, &stamp),
            _ => false,
        }
    }
}

/// The paths of one directory, by name; the name of the directory itself is empty.
#[derive(Serialize, Deserialize)]
struct Directory<'a> {
    path: &'a str,
    #[serde(borrow)]
    entries: Vec<(&'a str, Expected)>,
}

#[derive(Serialize, Deserialize)]
struct Seal<'a> {
    boot: &'a str,
    environment: Vec<(String, Option<String>)>,
    #[serde(borrow)]
    directories: Vec<Directory<'a>>,
    workspace: &'a str,
    configuration: &'a str,
    actions: usize,
    requested: &'a [u8],
    tests: Vec<TestSummary>,
}

/// The seals in one directory.
#[derive(Debug)]
pub struct Seals {
    files: AnswerFiles,
    boot: Arc<str>,
}

impl Seals {
    /// Those of a workspace, as the machine is since the start that `boot` names.
    pub(crate) fn new(output_base: &Path, boot: Arc<str>) -> Seals {
        Seals { files: AnswerFiles::new(&output_base.join("seals"), FORMAT, LIMIT), boot }
    }

    /// Those of the workspace with this output base. The caller holds its lock.
    pub fn open(output_base: &Path) -> Seals {
        Seals::new(output_base, crate::build::boot_id())
    }

    /// Seals a request. Does nothing if a path is not UTF-8.
    pub(crate) fn save(
        &self,
        request: &Fingerprint,
        expected: &[(PathBuf, Expected)],
        environment: &[Dependency],
        told: &Told,
    ) -> FileResult<()> {
        let Some(directories) = by_directory(expected) else { return Ok(()) };
        let variables: BTreeMap<_, _> = environment
            .iter()
            .filter_map(|dependency| match dependency {
                Dependency::Environment { name, value } => Some((name.clone(), value.clone())),
                _ => None,
            })
            .collect();
        let Ok(requested) = SavedDepsets::encode(&told.requested, Vec::new()) else {
            return Ok(());
        };
        let seal = Seal {
            boot: &self.boot,
            environment: variables.into_iter().collect(),
            directories,
            workspace: &told.workspace,
            configuration: &told.configuration,
            actions: told.actions,
            requested: &requested,
            tests: told.tests.clone(),
        };
        postcard::to_stdvec(&seal).map_or(Ok(()), |seal| self.files.save(request, &seal))
    }

    /// What is told of the request, if it was sealed and there is still nothing to do.
    /// `environment` looks up a variable.
    pub fn intact(
        &self,
        request: &Fingerprint,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Option<Told> {
        self.files.load(request, |answer| {
            let seal: Seal = postcard::from_bytes(answer).ok()?;
            let holds = *seal.boot == *self.boot
                && seal.environment.iter().all(|(name, value)| environment(name) == *value)
                && seal.directories.par_iter().all(Directory::holds);
            if !holds {
                return None;
            }
            Some(Told {
                workspace: seal.workspace.into(),
                configuration: seal.configuration.into(),
                actions: seal.actions,
                requested: SavedDepsets::decode(seal.requested).ok()?,
                tests: seal.tests,
            })
        })
    }
}

impl Directory<'_> {
    fn holds(&self) -> bool {
        match files::open_directory(Path::new(self.path)) {
            Ok(Some(directory)) => self.entries.iter().all(|(name, expected)| {
                let found = files::stat_at(&directory, self.path, name, expected.follows_links());
                found.is_ok_and(|found| expected.is(found))
            }),
            Ok(None) => self.entries.iter().all(|(_, expected)| expected.is(None)),
            Err(_) => false,
        }
    }
}

/// Paths by the directories that they are in; `None` if one is not UTF-8.
fn by_directory(expected: &[(PathBuf, Expected)]) -> Option<Vec<Directory<'_>>> {
    let mut directories: HashMap<&str, Vec<(&str, Expected)>> = HashMap::new();
    for (path, expected) in expected {
        let path = path.to_str()?;
        let (directory, name) = match (expected, path.rsplit_once('/')) {
            (Expected::Listing(_), _) | (_, None) => (path, ""),
            (_, Some(("", ""))) => ("/", ""),
            (_, Some(("", name))) => ("/", name),
            (_, Some(parts)) => parts,
        };
        directories.entry(directory).or_default().push((name, *expected));
    }
    let directory = |(path, entries)| Directory { path, entries };
    let mut directories: Vec<_> = directories.into_iter().map(directory).collect();
    directories.sort_by_key(|directory| directory.path);
    Some(directories)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_state::FileState;
    use std::fs;

    struct Place {
        dir: tempfile::TempDir,
        seals: Seals,
    }

    const VARIABLE: &str = "NAME";

    impl Place {
        fn new() -> Place {
            let dir = tempfile::tempdir().unwrap();
            let path = |name: &str| dir.path().join(name);
            fs::create_dir(path("d")).unwrap();
            fs::write(path("d/file"), "text").unwrap();
            fs::write(path("d/tool"), "#!").unwrap();
            fs::create_dir(path("out")).unwrap();
            fs::write(path("out/made"), "made").unwrap();
            let seals = Seals::new(dir.path(), "boot".into());
            Place { dir, seals }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn seal(&self) {
            // What was written in the tick in which the session begins is not trusted.
            std::thread::sleep(std::time::Duration::from_millis(20));
            let files = FileState::open(&self.path("log")).unwrap();
            for name in ["d/file", "d/tool", "none/x", "d/absent"] {
                files.stat(&self.path(name)).unwrap();
            }
            files.list(&self.path("d")).unwrap();
            let mut expected = files.looked_at().unwrap();
            let (kind, stamp) = files::stat(&self.path("out/made"), false).unwrap().unwrap();
            expected.push((self.path("out/made"), Expected::Output(Placed::new(kind, &stamp))));
            let environment =
                [Dependency::Environment { name: VARIABLE.into(), value: Some("v".into()) }];
            let request = Fingerprint::of("request");
            self.seals.save(&request, &expected, &environment, &told()).unwrap();
        }

        fn is_intact(&self) -> bool {
            let environment = |name: &str| (name == VARIABLE).then(|| "v".to_owned());
            let told = self.seals.intact(&Fingerprint::of("request"), &environment);
            told.is_some_and(|told| told.actions == 7)
        }
    }

    fn told() -> Told {
        Told {
            workspace: "ws".into(),
            configuration: "k8-opt".into(),
            actions: 7,
            requested: Vec::new(),
            tests: Vec::new(),
        }
    }

    #[test]
    fn a_seal_holds_until_anything_changes() {
        type Change = fn(&Place);
        let changes: [(&str, Change); 10] = [
            ("a source", |place| fs::write(place.path("d/file"), "test").unwrap()),
            ("a source is gone", |place| fs::remove_file(place.path("d/file")).unwrap()),
            ("a mode", |place| {
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
                fs::set_permissions(place.path("d/tool"), mode).unwrap();
            }),
            ("what was absent", |place| fs::write(place.path("d/absent"), "").unwrap()),
            ("an absent directory", |place| {
                fs::create_dir(place.path("none")).unwrap();
                fs::write(place.path("none/x"), "").unwrap();
            }),
            ("a new file", |place| fs::write(place.path("d/new"), "").unwrap()),
            ("an output", |place| fs::write(place.path("out/made"), "").unwrap()),
            ("an output is gone", |place| fs::remove_dir_all(place.path("out")).unwrap()),
            ("an output is a link", |place| {
                fs::rename(place.path("out/made"), place.path("out/x")).unwrap();
                std::os::unix::fs::symlink("x", place.path("out/made")).unwrap();
            }),
            ("a directory", |place| {
                fs::rename(place.path("d"), place.path("e")).unwrap();
                fs::create_dir(place.path("d")).unwrap();
            }),
        ];
        for (what, change) in changes {
            let place = Place::new();
            assert!(!place.is_intact(), "nothing is sealed");
            place.seal();
            assert!(place.is_intact(), "{what}: before");
            change(&place);
            assert!(!place.is_intact(), "{what}");
        }
    }

    #[test]
    fn a_seal_is_of_one_request_environment_and_start_of_the_machine() {
        let place = Place::new();
        place.seal();
        let request = Fingerprint::of("request");
        let set = |name: &str| (name == VARIABLE).then(|| "v".to_owned());
        assert!(place.seals.intact(&Fingerprint::of("other"), &set).is_none());
        assert!(place.seals.intact(&request, &|_| None).is_none());
        assert!(Seals::new(place.dir.path(), "later".into()).intact(&request, &set).is_none());
    }

    #[test]
    fn a_damaged_seal_does_not_hold() {
        let place = Place::new();
        place.seal();
        let path = place.seals.files.path(&Fingerprint::of("request"));
        let whole = fs::read(&path).unwrap();
        for position in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[position] ^= 4;
            fs::write(&path, &damaged).unwrap();
            assert!(!place.is_intact(), "at {position}");
        }
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(!place.is_intact(), "cut at {length}");
        }
    }

    #[test]
    fn what_was_just_written_is_not_sealed() {
        let place = Place::new();
        let files = FileState::open(&place.path("log")).unwrap();
        fs::write(place.path("d/file"), "now").unwrap();
        files.stat(&place.path("d/file")).unwrap();
        assert!(files.looked_at().is_none());
    }
}
