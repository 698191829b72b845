//! Cores that the installed SBCL saves, as they are and with damage.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use rbz_elf::{
    Aliens, CoreError, CoreFile, Functions, LinkedProgram, SourceLines, SpaceId, copy, split,
};

const PROGRAM: &str = r#"
(defpackage "GREETER" (:use "CL") (:export "GREET"))
(in-package "GREETER")
(defstruct point x y)
(defgeneric area (shape))
(defmethod area ((shape point)) (* (point-x shape) (point-y shape)))
(defun |Mixed Case| (x) (list x x))
(defun quiet (x) (1+ x))
(defun greet (name)
  (flet ((inner (who) (format nil "hello ~a" who)))
    (declare (notinline inner))
    (list (inner name) (inner "all"))))
(defun (setf quiet) (new old) (list old new))
"#;

/// Has SBCL save a core of the program, with these arguments for `save-lisp-and-die`.
fn save(directory: &Path, arguments: &str) -> Vec<u8> {
    let source = directory.join("program.lisp");
    let core = directory.join("program.core");
    std::fs::write(&source, PROGRAM).expect("the directory is there");
    let load = format!("(load (compile-file {source:?}))");
    let save = format!("(save-lisp-and-die {core:?} {arguments})");
    let output = Command::new("sbcl")
        .args(["--noinform", "--no-sysinit", "--no-userinit", "--non-interactive"])
        .args(["--eval", &load, "--eval", &save])
        .output()
        .expect("sbcl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(&core).expect("a core was saved")
}

fn core() -> &'static [u8] {
    static CORE: OnceLock<Vec<u8>> = OnceLock::new();
    CORE.get_or_init(|| save(tempfile::tempdir().expect("a directory").path(), ""))
}

fn parse(bytes: &[u8]) -> CoreFile<'_> {
    CoreFile::parse(bytes).expect("SBCL wrote it")
}

#[test]
fn functions_have_the_names_that_lisp_prints() {
    let functions = Functions::of(&parse(core())).expect("they are found").functions;
    let names: Vec<&str> = functions.iter().map(|function| function.name.as_str()).collect();
    for name in [
        "car",
        "greeter:greet",
        "greeter::quiet",
        "greeter::|Mixed Case|",
        "(setf greeter::quiet)",
        "(flet greeter::inner :in greeter:greet)",
        "(:method greeter::area (greeter::point))",
        "greeter::make-point",
        "sb-kernel:%coerce-callable-to-fun",
        "sb-vm::alloc-tramp",
    ] {
        assert_eq!(names.iter().filter(|other| **other == name).count(), 1, "{name}");
    }
    assert!(names.len() > 15_000, "{}", names.len());
    assert!(names.iter().all(|name| !name.contains(char::is_control)));
}

#[test]
fn functions_lie_side_by_side_in_the_code() {
    let core = parse(core());
    let text = core.space(SpaceId::Text).expect("it has code");
    let functions = Functions::of(&core).expect("they are found").functions;
    for pair in functions.windows(2) {
        assert!(pair[0].range.start < pair[0].range.end, "{:?}", pair[0]);
        assert!(pair[0].range.end <= pair[1].range.start, "{pair:?}");
    }
    let covered: u64 = functions.iter().map(|f| f.range.end - f.range.start).sum();
    assert!(covered > text.bytes / 2, "{covered} of {} bytes have names", text.bytes);
    let last = functions.last().expect("there are functions");
    assert!(last.range.end <= text.bytes);
    // The first instruction of a global function takes the return address to its place.
    let greet = functions.iter().find(|function| function.name == "greeter:greet");
    let start = greet.expect("it is there").range.start as usize;
    assert_eq!(core.contents(text)[start..start + 3], [0x8F, 0x45, 0x08]);
}

#[test]
fn foreign_symbols_know_whether_they_are_variables() {
    let aliens = Aliens::of(&parse(core())).expect("they are found");
    let is_variable = |name: &str| {
        aliens.iter().filter(|alien| alien.name == name).map(|alien| alien.is_variable).next()
    };
    assert_eq!(is_variable("dlopen"), Some(false));
    assert_eq!(is_variable("dynamic_space_size"), Some(true));
    assert_eq!(is_variable("greet"), None);
}

#[test]
fn objects_of_one_core_are_the_same_and_contain_it() {
    let core = parse(core());
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let result = split(&core, &SourceLines::default(), &mut first).expect("it is split");
    assert_eq!(split(&core, &SourceLines::default(), &mut second).expect("it is split"), result);
    assert!(first == second);
    assert!(result.functions > 15_000);
    let greeting = b"hello ".map(|byte| [byte, 0, 0, 0]).concat();
    let has = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(has(&first, b"greeter::quiet\0"));
    let mut copied = Vec::new();
    let result = copy(&core, &mut copied).expect("it is copied");
    assert!(result.dynamic_list().contains("  dlopen;\n"));
    assert!(copied.len() > core.bytes().len());
    // Strings are in the data, whichever of the two representations SBCL chose.
    for object in [&first, &copied] {
        assert!(has(object, b"hello ") || has(object, &greeting));
    }
}

#[test]
fn a_program_with_a_core_behind_it_is_read_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = save(directory.path(), ":executable t");
    let core = parse(&program);
    assert!(core.bytes().len() < program.len());
    assert!(Functions::of(&core).is_ok());
    assert!(matches!(LinkedProgram::check(&program), Err(rbz_elf::ProgramError::NoCore)));
}

#[test]
fn a_compressed_core_is_an_error_that_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let core = save(directory.path(), ":compression 1");
    assert_eq!(CoreFile::parse(&core).err(), Some(CoreError::Compressed));
}

#[test]
fn what_is_no_core_is_an_error() {
    for bytes in [&b""[..], b"x", &[0; 100], b"\x7fELF and more bytes than a trailer has"] {
        assert_eq!(CoreFile::parse(bytes).err(), Some(CoreError::NotACore));
    }
}

/// Everything that is done with a core.
fn use_all(bytes: &[u8]) -> Result<(), CoreError> {
    let core = CoreFile::parse(bytes)?;
    Aliens::of(&core)?;
    Functions::of(&core)?;
    match split(&core, &SourceLines::default(), std::io::sink()) {
        Err(rbz_elf::SplitError::Core(error)) => Err(error),
        Err(rbz_elf::SplitError::Write(error)) => panic!("{error}"),
        Ok(_) => Ok(()),
    }
}

#[test]
fn a_truncated_core_is_an_error_wherever_it_ends() {
    let bytes = core();
    let pages = bytes.len() / 32768;
    let ends = [0, 8, 16, 100, 32767, 32768].into_iter();
    // The last page has the end of the page table and the trailer, which is not needed.
    for end in ends.chain((1..pages - 1).step_by(97).map(|page| page * 32768 + 8)) {
        let error = use_all(&bytes[..end]).expect_err("it is not whole");
        let expected = end < 8 && error == CoreError::NotACore;
        assert!(expected || matches!(error, CoreError::Truncated { .. }), "{end}: {error}");
    }
}

#[test]
fn a_core_of_another_version_is_an_error_that_says_so() {
    let mut bytes = core().to_vec();
    // The first entry gets a type that later versions write.
    bytes[8..16].copy_from_slice(&3882u64.to_le_bytes());
    assert!(matches!(use_all(&bytes), Err(CoreError::OtherVersion { .. })));
}

/// Numbers without a pattern, always the same ones.
struct Noise(u64);

impl Noise {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

#[test]
fn damaged_cores_never_panic() {
    let refused = damage(0x9E37_79B9_7F4A_7C15, 60);
    assert!(refused > 10, "damage is noticed: {refused}");
}

/// Takes minutes: `cargo test -p rbz-elf -- --ignored`.
#[test]
#[ignore = "takes ten minutes"]
fn damaged_cores_never_panic_in_ten_minutes() {
    let start = std::time::Instant::now();
    let mut seed = 1;
    while start.elapsed().as_secs() < 600 {
        damage(seed, 100);
        seed += 1;
    }
}

/// Uses so many damaged cores; returns how many were refused.
fn damage(seed: u64, rounds: usize) -> usize {
    let mut bytes = core().to_vec();
    let whole = bytes.clone();
    let core = parse(&whole);
    let places: Vec<_> = core
        .spaces()
        .iter()
        .map(|space| {
            let start = (space.first_page as usize + 1) * 32768;
            start..start + space.bytes as usize
        })
        .chain([0..800, 0..800])
        .collect();
    let mut noise = Noise(seed);
    let mut refused = 0;
    for round in 0..rounds {
        let place = &places[round % places.len()];
        // A few bytes in the header, many where most are of no interest.
        let flips = if place.start == 0 { 2 } else { 3000 };
        let mut flipped = Vec::new();
        for _ in 0..flips {
            let at = place.start + noise.below(place.len());
            flipped.push(at);
            bytes[at] ^= 1 << noise.below(8);
        }
        refused += usize::from(use_all(&bytes).is_err());
        for at in flipped {
            bytes[at] = whole[at];
        }
    }
    refused
}
