//! Rules: what a process may open that sees the whole machine. Landlock enforces them.
//!
//! Landlock decides when a file is opened. What may not be opened is refused (`EACCES`); that it is
//! there can still be seen.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, PathFdError,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::system_calls;
use super::view::{Fault, TRIAL, fault, part};

/// What a process may open, by absolute paths. Directories stand for all that is below them.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Rules {
    /// May be read, and run.
    pub readable: Vec<PathBuf>,
    /// Directories below which everything may be done.
    pub writable: Vec<PathBuf>,
    /// Whether it is in the machine's network.
    pub network: bool,
}

/// The newest version of Landlock that is asked for; of an older one what it has is used.
const NEWEST: ABI = ABI::V9;

/// Without what this version can do there are no rules.
const OLDEST: ABI = ABI::V1;

/// The devices that every process has: those without state.
const DEVICES: [&str; 6] =
    ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// What programs ask about themselves and the machine. Of other processes the kernel keeps back what
/// is theirs.
const PROCESSES: &str = "/proc";

/// What a process needs in the network to find others by their names.
const RESOLVER: [&str; 4] =
    ["/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf", "/etc/services"];

/// The number of the kernel's version of Landlock, at least 1.
pub fn version() -> Result<i32, Errno> {
    const VERSION: libc::c_long = 1;
    let none: libc::c_long = 0;
    // SAFETY: with this flag the call reads no memory, and only returns a number.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, none, VERSION) };
    // Versions are small numbers.
    if version < 1 { Err(Errno::last()) } else { Ok(version as i32) }
}

/// Puts this process and all that it starts under `rules`, for ever.
pub fn enforce(rules: &Rules) -> Result<(), Fault> {
    let version = version().map_err(fault("use Landlock"))?;
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(OLDEST))
        .and_then(|ruleset| ruleset.set_compatibility(CompatLevel::BestEffort).handle_access(all()))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create)
        .map_err(refused)?;
    let read = AccessFs::from_read(NEWEST);
    let read_and_write = read | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
    for device in DEVICES {
        ruleset = allow(ruleset, Path::new(device), read_and_write)?;
    }
    ruleset = allow(ruleset, Path::new(PROCESSES), read)?;
    if rules.network {
        for file in RESOLVER {
            ruleset = allow(ruleset, Path::new(file), read)?;
        }
    }
    for path in &rules.readable {
        ruleset = allow(ruleset, path, read)?;
    }
    for path in &rules.writable {
        ruleset = allow(ruleset, path, all())?;
    }
    ruleset.restrict_self().map_err(refused)?;
    system_calls::forbid(rules.network, version)
}

fn all() -> BitFlags<AccessFs> {
    AccessFs::from_all(NEWEST)
}

/// Adds a rule for `path`, if there is such a file.
fn allow(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, Fault> {
    match PathFd::new(path) {
        Ok(file) => ruleset.add_rule(PathBeneath::new(file, access)).map_err(refused),
        Err(PathFdError::OpenCall { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(ruleset)
        }
        Err(PathFdError::OpenCall { source, .. }) => {
            Err(Fault::io(format!("allow `{}`", path.display()), &source))
        }
        Err(error) => Err(Fault { what: format!("allow a path ({error})"), errno: libc::EINVAL }),
    }
}

fn refused(error: RulesetError) -> Fault {
    Fault { what: format!("use Landlock ({error})"), errno: *landlock::Errno::from(error) }
}

/// Tries, in a child, whether rules hold: what is not allowed is refused, and the rest works.
pub fn try_out(base: &Path) -> Result<(), Fault> {
    version().map_err(fault("use Landlock"))?;
    let trial = base.join(TRIAL);
    // SAFETY: this process has one thread, so that the child can do whatever the parent could.
    match unsafe { nix::unistd::fork() }.map_err(fault("fork"))? {
        nix::unistd::ForkResult::Child => {
            let code = match try_rules(&trial) {
                Ok(()) => 0,
                // Error numbers fit in a byte on every architecture that this runs on.
                Err(fault) => fault.errno.clamp(1, 255),
            };
            // SAFETY: ends the process without running what the parent registered for its end.
            unsafe { libc::_exit(code) }
        }
        nix::unistd::ForkResult::Parent { child } => {
            use nix::sys::wait::{WaitStatus, waitpid};
            match waitpid(child, None).map_err(fault("wait for a child"))? {
                WaitStatus::Exited(_, 0) => Ok(()),
                WaitStatus::Exited(_, errno) => {
                    Err(Fault { what: "use Landlock and a filter of system calls".into(), errno })
                }
                _ => Err(Fault { what: "run a process under Landlock".into(), errno: libc::EPERM }),
            }
        }
    }
}

fn try_rules(trial: &Path) -> Result<(), Fault> {
    let writable = trial.join(part::UPPER);
    nix::sys::prctl::set_no_new_privs().map_err(fault("forbid new rights"))?;
    enforce(&Rules { writable: vec![writable.clone()], ..Rules::default() })?;
    File::create(writable.join(part::FILE))
        .map_err(|error| Fault::io("write what may be written", &error))?;
    let other = trial.join(part::LOWER).join(part::FILE);
    match File::open(other) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        _ => Err(Fault { what: "keep a process from a file".into(), errno: libc::EOPNOTSUPP }),
    }
}
