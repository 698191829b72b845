//! Outputs: the directories that await them, and what is found there when the process has ended.

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{
    DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, lchown,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::kept::Record;
use super::scratch::{Scratch, make_directory};
use super::supervise::{Ended, Outcome};
use super::tree::{Staging, Tree};
use super::view::part;
use crate::paths::is_plain;
use crate::program_file::ProgramFile;
use crate::store::BLOB_DATE;
use crate::strategy::{
    Completed, DeclaredOutput, Exit, Isolation, PreparedSpawn, StagedContent, StagedInput,
    StrategyError,
};

/// The environment variable that names the file for missed inputs.
pub const MISSING_INPUTS_VARIABLE: &str = "RBZ_MISSING_INPUTS";

/// The name of that file in the process's own `/tmp`.
pub const MISSING_INPUTS_FILE: &str = ".rbz-missing-inputs";

/// How much of the file for missed inputs is read.
const MISSING_INPUTS_LIMIT: u64 = 1 << 20;

/// Makes the directories of `outputs` below `root`, owned by `owner` if one is given.
pub fn make_directories(
    root: &Path,
    outputs: &[DeclaredOutput],
    owner: Option<u32>,
) -> Result<(), StrategyError> {
    let mut made: Vec<PathBuf> = vec![root.to_owned()];
    for output in outputs {
        if !is_plain(&output.path) {
            return Err(StrategyError {
                what: format!("prepare the output `{}`", output.path),
                reason: "it is no path below the execution root".into(),
            });
        }
        let directory = match (output.is_tree, output.path.rsplit_once('/')) {
            (true, _) => &*output.path,
            (false, Some((directory, _))) => directory,
            (false, None) => continue,
        };
        let failed = |error: io::Error| StrategyError {
            what: format!("make the directory of the output `{}`", output.path),
            reason: error.to_string(),
        };
        let mut missing = Vec::new();
        let mut at = Some(root.join(directory));
        while let Some(path) = at.filter(|path| path != root && !path.is_dir()) {
            at = path.parent().map(Path::to_owned);
            missing.push(path);
        }
        for path in missing.into_iter().rev() {
            fs::DirBuilder::new().mode(0o755).create(&path).map_err(failed)?;
            fs::set_permissions(&path, Permissions::from_mode(0o755)).map_err(failed)?;
            made.push(path);
        }
    }
    let time = UNIX_EPOCH + Duration::from_secs(BLOB_DATE.unsigned_abs());
    for path in made.iter().rev() {
        let set = || -> io::Result<()> {
            if let Some(owner) = owner {
                lchown(path, Some(owner), Some(owner))?;
            }
            File::open(path)?.set_modified(time)
        };
        set().map_err(|error| StrategyError {
            what: format!("prepare the output directory `{}`", path.display()),
            reason: error.to_string(),
        })?;
    }
    Ok(())
}

/// The directory with copies of the inputs in a scratch directory that is kept.
pub const INPUTS: &str = "inputs";

/// Puts together what is known of a process that has ended, which was kept from the rest in the way
/// of `isolation` and saw its inputs below `exec_root`.
pub fn complete(
    ended: Ended,
    spawn: &PreparedSpawn,
    mut scratch: Scratch,
    exec_root: &Path,
    isolation: Isolation,
) -> Result<Completed, StrategyError> {
    let mut missed = missed_inputs(&scratch.path().join(part::TMP).join(MISSING_INPUTS_FILE));
    let Ended { outcome, stdout, mut stderr, wall, cpu, max_rss } = ended;
    let exit = match outcome {
        Outcome::Ran(exit) => exit,
        Outcome::NotExecuted(error) => {
            let program = spawn.argv.first().map_or("", String::as_str);
            let interpreter = interpreter(program, spawn, &error);
            let text = not_executed(program, interpreter.as_deref(), spawn, &error);
            stderr.extend_from_slice(text.as_bytes());
            if error.kind() == io::ErrorKind::NotFound {
                missed.push(interpreter.unwrap_or_else(|| program.to_owned()));
            }
            // As shells have it.
            Exit::Status(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 })
        }
    };
    let upper = scratch.path().join(part::UPPER);
    remove_whiteouts(&upper, &spawn.outputs);
    let is_missing =
        |output: &DeclaredOutput| fs::symlink_metadata(upper.join(&*output.path)).is_err();
    let failed = exit != Exit::Status(0) || spawn.outputs.iter().any(is_missing);
    let kept = if spawn.keep && failed { keep(&mut scratch, spawn, isolation)? } else { None };
    let outputs_root = kept.as_ref().map_or(upper, |kept| kept.join(part::UPPER));
    Ok(Completed {
        exit,
        stdout,
        stderr,
        wall,
        cpu,
        max_rss,
        exec_root: exec_root.to_owned(),
        outputs_root,
        missed,
        scratch: Box::new(scratch),
        kept,
    })
}

/// Keeps the scratch directory, with copies of the inputs and the command beside what was written,
/// unless enough are kept already.
fn keep(
    scratch: &mut Scratch,
    spawn: &PreparedSpawn,
    isolation: Isolation,
) -> Result<Option<PathBuf>, StrategyError> {
    let failed =
        |reason: String| StrategyError { what: "keep the sandbox directory".into(), reason };
    let Some(kept) = scratch.keep().map_err(|error| failed(error.to_string()))? else {
        return Ok(None);
    };
    let inputs = kept.join(INPUTS);
    let record = Record::new(scratch.sandbox(), spawn, isolation);
    record
        .write(&kept)
        .and_then(|()| fs::write(kept.join("command"), spawn.shown().join(" ") + "\n"))
        .and_then(|()| make_directory(&inputs))
        .map_err(|error| failed(error.to_string()))?;
    let relative: Vec<StagedInput> =
        spawn.inputs.iter().filter(|input| !input.path.starts_with('/')).cloned().collect();
    Tree::new(&inputs, Staging::Copies)
        .and_then(|mut tree| tree.update(&relative))
        .map_err(|error| failed(error.to_string()))?;
    Ok(Some(kept))
}

/// The program after `#!` in a script that is there but could not be started.
fn interpreter(program: &str, spawn: &PreparedSpawn, error: &io::Error) -> Option<String> {
    if error.kind() != io::ErrorKind::NotFound {
        return None;
    }
    let input = spawn.inputs.iter().find(|input| *input.path == *program)?;
    let StagedContent::Blob { store_path, .. } = &input.content else { return None };
    match ProgramFile::read(store_path) {
        Ok(ProgramFile::Script { interpreter }) => interpreter.into_os_string().into_string().ok(),
        _ => None,
    }
}

fn not_executed(
    program: &str,
    interpreter: Option<&str>,
    spawn: &PreparedSpawn,
    error: &io::Error,
) -> String {
    let is_there = spawn.inputs.iter().any(|input| *input.path == *program);
    if let Some(interpreter) = interpreter {
        return format!(
            "cannot run `{program}`: its interpreter `{interpreter}` is not among the inputs\n"
        );
    }
    if is_there && error.kind() == io::ErrorKind::NotFound {
        // The kernel says so of the file after `#!`, and of the loader of an ELF file.
        return format!("cannot run `{program}`: its interpreter is not among the inputs\n");
    }
    // The number of the error is of no use to anybody.
    let reason = error.to_string();
    let reason = reason.split(" (os error").next().unwrap_or_default();
    format!("cannot run `{program}`: {reason}\n")
}

/// The lines of the file for missed inputs. The process could have put anything there.
fn missed_inputs(path: &Path) -> Vec<String> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let Ok(file) = File::options().read(true).custom_flags(flags).open(path) else {
        return vec![];
    };
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return vec![];
    }
    let mut bytes = Vec::new();
    if file.take(MISSING_INPUTS_LIMIT).read_to_end(&mut bytes).is_err() {
        return vec![];
    }
    let mut lines: Vec<String> = Vec::new();
    for line in String::from_utf8_lossy(&bytes).lines() {
        if !line.is_empty() && !lines.iter().any(|known| known == line) && lines.len() < 1000 {
            lines.push(line.to_owned());
        }
    }
    lines
}

/// An overlay notes a file that is gone by a device in its place. Where an output was declared
/// there is then simply none.
fn remove_whiteouts(root: &Path, outputs: &[DeclaredOutput]) {
    for output in outputs {
        let path = root.join(&*output.path);
        let is_whiteout =
            |metadata: fs::Metadata| metadata.file_type().is_char_device() && metadata.rdev() == 0;
        if fs::symlink_metadata(&path).is_ok_and(is_whiteout) {
            // If it stays, it is refused as an output of the wrong kind.
            let _ = fs::remove_file(&path);
        }
    }
}
