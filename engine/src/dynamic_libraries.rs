//! Dynamic libraries: which files the loader opens before a program's `main` is reached.

use std::collections::{HashSet, VecDeque};
use std::fs;
use std::path::{Component, Path, PathBuf};

use object::elf;
use thiserror::Error;

use crate::program_file::{ElfObject, ProgramFile, ProgramFileError};

/// Why the libraries of a program could not be told.
#[derive(Debug, Error)]
pub enum LibrariesError {
    /// A file on the way could not be understood.
    #[error(transparent)]
    File(#[from] ProgramFileError),
    /// A library is nowhere where the loader looks.
    #[error("`{library}`, which `{needed_by}` needs, is in none of the loader's directories")]
    Missing {
        /// Its name as in `DT_NEEDED`.
        library: String,
        /// The program or library that names it.
        needed_by: PathBuf,
    },
    /// Scripts whose interpreters are scripts, deeper than the kernel follows.
    #[error("`{path}` is a script whose interpreter is a script, too many times over")]
    ScriptsTooDeep {
        /// The first script.
        path: PathBuf,
    },
}

/// Every file that the system's loader opens to start `program`, at the paths at which it looks:
/// the ELF interpreter and the closure of `DT_NEEDED`. Sorted; without `program` itself.
///
/// A script (`#!`) needs its interpreter and what that one needs. Any other file, and a static
/// program, needs nothing. Libraries that a program opens while it runs (`dlopen`) are not found.
///
/// Symbolic links are not resolved, since the loader asks for `libc.so.6` and never for what that
/// may be a link to. Only for `$ORIGIN` the directory of the program's real path counts, as the
/// loader has it.
///
/// Variants for newer processors (`glibc-hwcaps`) are left out on purpose: where they are not
/// there the loader takes the plain ones, and results do not depend on the machine's processor.
pub fn dynamic_libraries(program: &Path) -> Result<Vec<PathBuf>, LibrariesError> {
    closure(program, &Machine { configured: configured_directories(Path::new("/etc/ld.so.conf")) })
}

/// What the machine's loader is configured to.
struct Machine {
    /// The directories of `/etc/ld.so.conf`, in order.
    configured: Vec<PathBuf>,
}

/// The kernel follows this many scripts that are each other's interpreter.
const MAX_SCRIPT_DEPTH: usize = 5;

fn closure(program: &Path, machine: &Machine) -> Result<Vec<PathBuf>, LibrariesError> {
    let mut found = Vec::new();
    let mut current = program.to_owned();
    for _ in 0..MAX_SCRIPT_DEPTH {
        match ProgramFile::read(&current)? {
            ProgramFile::Script { interpreter } => {
                found.push(interpreter.clone());
                current = interpreter;
                continue;
            }
            ProgramFile::Other => {}
            ProgramFile::Elf(object) => found.extend(elf_closure(&current, object, machine)?),
        }
        found.sort();
        found.dedup();
        return Ok(found);
    }
    Err(LibrariesError::ScriptsTooDeep { path: program.to_owned() })
}

/// A loaded object: where it is, and which object made the loader load it.
struct Loaded {
    path: PathBuf,
    object: ElfObject,
    loader: Option<usize>,
}

fn elf_closure(
    program: &Path,
    object: ElfObject,
    machine: &Machine,
) -> Result<Vec<PathBuf>, LibrariesError> {
    let mut found = Vec::new();
    // By the names under which the loader knows an object: the one asked for, and its soname.
    let mut known: HashSet<String> = HashSet::new();
    let interpreter = object.interpreter.clone();
    if let Some(interpreter) = &interpreter {
        found.push(interpreter.clone());
        if let ProgramFile::Elf(loader) = ProgramFile::read(interpreter)? {
            known.extend(loader.soname);
        }
        known.extend(interpreter.file_name().map(|name| name.to_string_lossy().into_owned()));
    }
    let search = Search::new(machine, &object, interpreter.as_deref());
    let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    let mut loaded = vec![Loaded { path: real, object, loader: None }];
    let mut queue = VecDeque::from([0]);
    let mut needs_cache = false;
    while let Some(index) = queue.pop_front() {
        for name in std::mem::take(&mut loaded[index].object.needed) {
            if known.contains(&name) {
                continue;
            }
            let Some((path, library, by_cache)) = search.find(&name, index, &loaded)? else {
                let needed_by = loaded[index].path.clone();
                return Err(LibrariesError::Missing { library: name, needed_by });
            };
            needs_cache |= by_cache;
            known.extend(library.soname.clone());
            known.insert(name);
            found.push(path.clone());
            queue.push_back(loaded.len());
            loaded.push(Loaded { path, object: library, loader: Some(index) });
        }
    }
    // Only the loader's cache leads to directories that are not built into it.
    if needs_cache {
        found.push(PathBuf::from("/etc/ld.so.cache"));
    }
    Ok(found)
}

/// Where libraries for one kind of program are searched.
struct Search<'a> {
    kind: (u8, u8, u16),
    configured: &'a [PathBuf],
    /// Built into the loader.
    built_in: Vec<PathBuf>,
}

impl<'a> Search<'a> {
    fn new(machine: &'a Machine, program: &ElfObject, interpreter: Option<&Path>) -> Self {
        let triplet = multiarch_triplet(program.kind);
        let is_musl = interpreter
            .and_then(Path::file_name)
            .is_some_and(|name| name.to_string_lossy().starts_with("ld-musl-"));
        if is_musl {
            let built_in = ["/lib", "/usr/local/lib", "/usr/lib"].map(PathBuf::from).to_vec();
            return Search { kind: program.kind, configured: &[], built_in };
        }
        let mut built_in = Vec::new();
        for prefix in ["/lib", "/usr/lib"] {
            built_in.extend(triplet.map(|triplet| Path::new(prefix).join(triplet)));
        }
        let plain: &[&str] = match program.kind.0 {
            elf::ELFCLASS64 => &["/lib64", "/usr/lib64", "/lib", "/usr/lib"],
            _ => &["/lib32", "/usr/lib32", "/lib", "/usr/lib"],
        };
        built_in.extend(plain.iter().map(PathBuf::from));
        Search { kind: program.kind, configured: &machine.configured, built_in }
    }

    /// The library that the loader takes for `name` when the object `index` needs it, and whether
    /// only its cache led there.
    fn find(
        &self,
        name: &str,
        index: usize,
        loaded: &[Loaded],
    ) -> Result<Option<(PathBuf, ElfObject, bool)>, LibrariesError> {
        if name.contains('/') {
            let path = PathBuf::from(name);
            return Ok(self.library_at(&path)?.map(|library| (path, library, false)));
        }
        for directory in own_directories(index, loaded) {
            let path = clean(&directory.join(name));
            if let Some(library) = self.library_at(&path)? {
                return Ok(Some((path, library, false)));
            }
        }
        for directory in self.configured.iter().chain(&self.built_in) {
            let path = directory.join(name);
            if let Some(library) = self.library_at(&path)? {
                return Ok(Some((path, library, !self.built_in.contains(directory))));
            }
        }
        Ok(None)
    }

    /// The ELF file at `path`, unless there is none or one for another kind of machine.
    fn library_at(&self, path: &Path) -> Result<Option<ElfObject>, LibrariesError> {
        if !path.is_file() {
            return Ok(None);
        }
        Ok(match ProgramFile::read(path)? {
            ProgramFile::Elf(library) if library.kind == self.kind => Some(library),
            _ => None,
        })
    }
}

/// The directories that an object and those that led to it name themselves: `DT_RUNPATH` of its
/// own, or without that the `DT_RPATH` of it and of every object on the way to it.
fn own_directories(index: usize, loaded: &[Loaded]) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    let asking = &loaded[index];
    if !asking.object.runpath.is_empty() {
        directories.extend(asking.object.runpath.iter().map(|entry| expand(entry, asking)));
        return directories;
    }
    let mut next = Some(index);
    while let Some(index) = next {
        let on_the_way = &loaded[index];
        // An object that has a DT_RUNPATH has no say by its DT_RPATH.
        if on_the_way.object.runpath.is_empty() {
            directories
                .extend(on_the_way.object.rpath.iter().map(|entry| expand(entry, on_the_way)));
        }
        next = on_the_way.loader;
    }
    directories
}

/// A search path entry with the loader's variables replaced.
fn expand(entry: &str, of: &Loaded) -> PathBuf {
    let origin = of.path.parent().unwrap_or(Path::new("/")).to_string_lossy();
    let lib = match of.object.kind.0 {
        elf::ELFCLASS64 if multiarch_triplet(of.object.kind).is_none() => "lib64".to_owned(),
        _ => match multiarch_triplet(of.object.kind) {
            Some(triplet) => format!("lib/{triplet}"),
            None => "lib".to_owned(),
        },
    };
    let mut text = entry.to_owned();
    for (variable, value) in [("ORIGIN", &*origin), ("LIB", &lib)] {
        text = text.replace(&format!("${{{variable}}}"), value);
        text = text.replace(&format!("${variable}"), value);
    }
    PathBuf::from(text)
}

/// `path` without `.` and `..`, as the tree of an action has no links that would give `..`
/// another meaning.
fn clean(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                result.pop();
            }
            other => result.push(other),
        }
    }
    result
}

/// The name of a machine's library directories where several machines' libraries live side by
/// side (Debian and its kin).
fn multiarch_triplet((class, _, machine): (u8, u8, u16)) -> Option<&'static str> {
    Some(match (machine, class) {
        (elf::EM_X86_64, elf::ELFCLASS64) => "x86_64-linux-gnu",
        (elf::EM_X86_64, _) => "x86_64-linux-gnux32",
        (elf::EM_386, _) => "i386-linux-gnu",
        (elf::EM_AARCH64, _) => "aarch64-linux-gnu",
        (elf::EM_ARM, _) => "arm-linux-gnueabihf",
        (elf::EM_RISCV, elf::ELFCLASS64) => "riscv64-linux-gnu",
        (elf::EM_PPC64, _) => "powerpc64le-linux-gnu",
        (elf::EM_S390, elf::ELFCLASS64) => "s390x-linux-gnu",
        _ => return None,
    })
}

/// The directories that a file such as `/etc/ld.so.conf` lists, includes followed.
fn configured_directories(file: &Path) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    add_configured(file, &mut directories, 0);
    directories
}

fn add_configured(file: &Path, directories: &mut Vec<PathBuf>, depth: usize) {
    // Systems without the file, and lines that cannot be followed, configure nothing: so does
    // the loader take it.
    let Ok(text) = fs::read_to_string(file) else { return };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(patterns) =
            line.strip_prefix("include").filter(|rest| rest.starts_with([' ', '\t']))
        {
            for pattern in patterns.split_whitespace() {
                let base = file.parent().unwrap_or(Path::new("/"));
                let included = files_matching(&base.join(pattern));
                // A file that includes itself ends here.
                if depth < 8 {
                    included.iter().for_each(|file| add_configured(file, directories, depth + 1));
                }
            }
        } else if line.starts_with('/') {
            let directory = PathBuf::from(line.trim_end_matches('/'));
            if !directories.contains(&directory) {
                directories.push(directory);
            }
        }
    }
}

/// The files that a pattern with wildcards in its last part matches, sorted.
fn files_matching(pattern: &Path) -> Vec<PathBuf> {
    let (Some(parent), Some(name)) = (pattern.parent(), pattern.file_name()) else { return vec![] };
    let Ok(glob) = globset::Glob::new(&name.to_string_lossy()) else { return vec![] };
    let matcher = glob.compile_matcher();
    let Ok(entries) = fs::read_dir(parent) else { return vec![] };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| matcher.is_match(entry.file_name()))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// What `ldd` says, without the kernel's own library.
    fn ldd(program: &str) -> Vec<PathBuf> {
        let output = Command::new("ldd").arg(program).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut paths: Vec<PathBuf> = text
            .split_whitespace()
            .filter(|word| word.starts_with('/'))
            .map(PathBuf::from)
            .collect();
        paths.sort();
        paths.dedup();
        paths
    }

    fn cc(arguments: &[&str], directory: &Path) {
        let status = Command::new("cc").args(arguments).current_dir(directory).status().unwrap();
        assert!(status.success(), "cc {arguments:?}");
    }

    #[test]
    fn system_programs_need_what_ldd_says() {
        for program in ["/bin/bash", "/bin/ls", "/bin/tar", "/usr/bin/ldd"] {
            let found = dynamic_libraries(Path::new(program)).unwrap();
            match program {
                "/usr/bin/ldd" => assert!(found.contains(&PathBuf::from("/bin/bash")), "{found:?}"),
                _ => assert_eq!(found, ldd(program), "{program}"),
            }
        }
    }

    #[test]
    fn libraries_are_found_relative_to_the_program_and_to_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        for name in ["bin", "lib", "lib/deep"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        fs::write(root.join("deep.c"), "int deep(void) { return 7; }").unwrap();
        fs::write(root.join("top.c"), "int deep(void); int top(void) { return deep(); }").unwrap();
        fs::write(root.join("main.c"), "int top(void); int main(void) { return top(); }").unwrap();
        cc(
            &[
                "-shared",
                "-fPIC",
                "-o",
                "lib/deep/libdeep.so.1",
                "-Wl,-soname,libdeep.so.1",
                "deep.c",
            ],
            &root,
        );
        let link = ["-shared", "-fPIC", "-o", "lib/libtop.so", "top.c", "lib/deep/libdeep.so.1"];
        cc(&[&link[..], &["-Wl,-rpath,${ORIGIN}/deep"]].concat(), &root);
        let link = ["-o", "bin/main", "main.c", "-Llib", "-ltop"];
        let link_deep = ["-Wl,-rpath-link,lib/deep", "-Wl,-rpath,$ORIGIN/../lib"];
        cc(&[&link[..], &link_deep].concat(), &root);
        std::os::unix::fs::symlink("main", root.join("bin/link")).unwrap();
        for program in ["bin/main", "bin/link"] {
            let found = dynamic_libraries(&root.join(program)).unwrap();
            assert!(found.contains(&root.join("lib/libtop.so")), "{found:?}");
            assert!(found.contains(&root.join("lib/deep/libdeep.so.1")), "{found:?}");
            assert!(found.iter().any(|path| path.ends_with("libc.so.6")), "{found:?}");
        }

        fs::remove_file(root.join("lib/deep/libdeep.so.1")).unwrap();
        let error = dynamic_libraries(&root.join("bin/main")).unwrap_err().to_string();
        assert!(error.contains("`libdeep.so.1`") && error.contains("lib/libtop.so"), "{error}");
    }

    #[test]
    fn a_library_that_only_the_configuration_leads_to_needs_the_loaders_cache() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("conf.d")).unwrap();
        fs::create_dir(root.join("odd")).unwrap();
        let odd = root.join("odd").to_string_lossy().into_owned();
        fs::write(root.join("ld.so.conf"), "# odd\ninclude conf.d/*.conf\n").unwrap();
        fs::write(root.join("conf.d/odd.conf"), format!("{odd}/ # here\n")).unwrap();
        fs::write(root.join("conf.d/not-read"), "/nowhere\n").unwrap();
        fs::write(root.join("odd.c"), "int odd(void) { return 1; }").unwrap();
        fs::write(root.join("main.c"), "int odd(void); int main(void) { return odd(); }").unwrap();
        cc(&["-shared", "-fPIC", "-o", "odd/libodd.so", "odd.c"], root);
        cc(&["-o", "main", "main.c", "-Lodd", "-lodd"], root);

        let configured = configured_directories(&root.join("ld.so.conf"));
        assert_eq!(configured, [root.join("odd")]);
        let found = closure(&root.join("main"), &Machine { configured }).unwrap();
        assert!(found.contains(&root.join("odd/libodd.so")), "{found:?}");
        assert!(found.contains(&PathBuf::from("/etc/ld.so.cache")), "{found:?}");
    }

    #[test]
    fn texts_and_damaged_files() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str, content: &[u8]| {
            let path = directory.path().join(name);
            fs::write(&path, content).unwrap();
            path
        };
        assert!(dynamic_libraries(&at("text", b"hello")).unwrap().is_empty());
        assert!(dynamic_libraries(&at("empty", b"")).unwrap().is_empty());
        let damaged = dynamic_libraries(&at("elf", b"\x7fELF\x02\x01\x01rest")).unwrap_err();
        assert!(damaged.to_string().contains("is a damaged ELF file"), "{damaged}");
        let path = directory.path().join("self");
        fs::write(&path, format!("#!{}\n", path.display())).unwrap();
        assert!(matches!(dynamic_libraries(&path), Err(LibrariesError::ScriptsTooDeep { .. })));
        assert!(dynamic_libraries(&directory.path().join("absent")).is_err());
    }
}
