//! The view: the mounts that make up all that a process sees. Runs in the action's reaper.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{chdir, chroot, pivot_root};

use super::init::clone;
use super::message::{Mode, View, Writable};

/// Uid and gid of every process, as it sees them.
pub const UID: u32 = 1000;

/// How many processes an action may have: more than any build step needs, and less than takes a
/// machine.
pub const MAX_PROCESSES: u64 = 16 * 1024;

/// Where the execution root is, relative to the root.
pub const EXEC_ROOT: &str = "rbz/execroot";

/// Where the empty home is, relative to the root.
pub const HOME: &str = "rbz/home";

/// The directory below the base on which the init mounts the devices.
pub const DEVICES: &str = "dev";

/// The directory below the base in which the init tries out what the machine allows.
pub const TRIAL: &str = "trial";

/// The parts of a scratch directory, and of the trial directory.
pub mod part {
    /// What the process wrote: upper layer of the overlay.
    pub const UPPER: &str = "upper";
    /// The kernel's own.
    pub const WORK: &str = "work";
    /// Its `/tmp`.
    pub const TMP: &str = "tmp";
    /// Its home.
    pub const HOME: &str = "home";
    /// Only for the trial: a lower layer, with one file called [`FILE`].
    pub const LOWER: &str = "lower";
    /// Only for the trial: where to mount.
    pub const MERGED: &str = "merged";
    /// Only for the trial: a file.
    pub const FILE: &str = "file";
}

/// What could not be done, and the system's error number.
#[derive(Debug)]
pub struct Fault {
    pub what: String,
    pub errno: i32,
}

impl Fault {
    /// From an error of the standard library.
    pub fn io(what: impl Into<String>, error: &io::Error) -> Self {
        Fault { what: what.into(), errno: error.raw_os_error().unwrap_or(libc::EIO) }
    }
}

/// Makes a [`Fault`] of a system call's error.
pub fn fault(what: &str) -> impl Fn(Errno) -> Fault + use<> {
    let what = what.to_owned();
    move |errno| Fault { what: what.clone(), errno: errno as i32 }
}

const NONE: Option<&str> = None;

/// Makes `view` all that this process and its children see. The current directory is the base,
/// and the process is alone in its mount namespace; with `own_pids` also in its namespace of process
/// ids.
pub fn enter(view: &View, own_pids: bool) -> Result<(), Fault> {
    let root = Path::new(&view.system);
    let scratch = Path::new(&view.scratch);
    bind(root, root)?;
    read_only(root)?;

    let exec_root = root.join(EXEC_ROOT);
    match &view.writable {
        Writable::Everywhere => {
            let upper = scratch.join(part::UPPER);
            mount_overlay(Path::new(&view.inputs), &upper, &scratch.join(part::WORK), &exec_root)
                .map_err(fault("mount the input tree"))?;
        }
        Writable::Directories(directories) => {
            bind(Path::new(&view.inputs), &exec_root)?;
            read_only(&exec_root)?;
            for directory in directories {
                bind(&scratch.join(part::UPPER).join(directory), &exec_root.join(directory))?;
            }
        }
    }
    private_tmp(&root.join("tmp"), &scratch.join(part::TMP))?;
    bind(&scratch.join(part::HOME), &root.join(HOME))?;

    let dev = root.join("dev");
    mount(Some(DEVICES), &dev, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)
        .map_err(fault("mount `/dev`"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("shm"), &dev.join("shm"), Some("tmpfs"), flags, Some("mode=1777"))
        .map_err(fault("mount `/dev/shm`"))?;
    let (flags, options) = (MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, "newinstance,ptmxmode=0666");
    mount(Some("devpts"), &dev.join("pts"), Some("devpts"), flags, Some(options))
        .map_err(fault("mount `/dev/pts`"))?;

    let proc = root.join("proc");
    mount_proc(&proc)?;
    if own_pids {
        limit_processes(&proc);
    }
    // To the kernel's settings the machine's root is root whatever its rights; a process of a
    // build that root runs must not reach them.
    if fs::metadata(proc.join("sys")).is_ok_and(|sys| sys.uid() == nix::unistd::getuid().as_raw()) {
        for name in ["sys", "sysrq-trigger", "irq", "bus", "fs"] {
            let path = proc.join(name);
            if path.exists() {
                bind(&path, &path)?;
                read_only(&path)?;
            }
        }
    }
    change_root(root)
}

/// Limits the number of processes in the pid namespace of this action, where the kernel counts them
/// by namespace. An older one has one such number for the whole machine, which is left alone.
fn limit_processes(proc: &Path) {
    let release = nix::sys::utsname::uname().ok();
    let release = release.as_ref().and_then(|name| name.release().to_str());
    if release.is_some_and(|release| version(release) >= Some((6, 14))) {
        // Without it there is the limit of the user.
        let _ = fs::write(proc.join("sys/kernel/pid_max"), MAX_PROCESSES.to_string());
    }
}

/// The first two numbers of a kernel's release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Puts the private `/tmp` over that of the system tree, and into it what the tree has there: a
/// toolchain may lie below `/tmp`.
fn private_tmp(place: &Path, private: &Path) -> Result<(), Fault> {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let there = private.join(entry.file_name());
        let made = match entry.file_type() {
            Ok(kind) if kind.is_dir() => fs::create_dir(&there),
            _ => fs::File::create(&there).map(drop),
        };
        // A failure shows as one of the mount.
        drop(made);
        bind(&entry.path(), &there)?;
    }
    mount(Some(private), place, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)
        .map_err(fault("mount the private `/tmp`"))
}

fn bind(from: &Path, to: &Path) -> Result<(), Fault> {
    mount(Some(from), to, NONE, MsFlags::MS_BIND, NONE).map_err(fault(&format!(
        "mount `{}` at `{}`",
        from.display(),
        to.display()
    )))
}

/// Makes a mount read-only. Flags that the file system was mounted with must be repeated: in a
/// user namespace they cannot be taken away.
fn read_only(path: &Path) -> Result<(), Fault> {
    let make = fault(&format!("make `{}` read-only", path.display()));
    let present = statvfs(path).map_err(&make)?.flags();
    let mut flags =
        MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID;
    for (fs_flag, mount_flag) in [
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ] {
        if present.contains(fs_flag) {
            flags |= mount_flag;
        }
    }
    mount(NONE, path, NONE, flags, NONE).map_err(make)
}

/// Mounts an overlay. The paths must be plain ones: a colon or comma would need quoting.
fn mount_overlay(lower: &Path, upper: &Path, work: &Path, at: &Path) -> Result<(), Errno> {
    let base = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        upper.display(),
        work.display()
    );
    // `volatile`: what is written here need not survive a power loss; without it the kernel
    // syncs the whole file system when the overlay goes. `userxattr`: the only kind of
    // attributes that a user namespace may write; older kernels do not know it.
    let mut result = Err(Errno::EINVAL);
    for options in [",userxattr,volatile", ",volatile", ""] {
        let options = format!("{base}{options}");
        result = mount(Some("overlay"), at, Some("overlay"), MsFlags::MS_NODEV, Some(&*options));
        if result != Err(Errno::EINVAL) {
            break;
        }
    }
    result
}

fn mount_proc(at: &Path) -> Result<(), Fault> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), at, Some("proc"), flags, NONE).map_err(fault("mount a fresh `/proc`"))
}

/// Makes the mount at `root` the root, and everything outside of it unreachable.
fn change_root(root: &Path) -> Result<(), Fault> {
    let make = fault("change the root directory");
    chdir(root).map_err(&make)?;
    match pivot_root(".", ".") {
        // The old root now lies on top of the new one.
        Ok(()) => umount2(".", MntFlags::MNT_DETACH).map_err(&make)?,
        // A machine that runs from its boot image has no root that could be exchanged.
        Err(Errno::EINVAL) => {
            mount(Some("."), "/", NONE, MsFlags::MS_MOVE, NONE).map_err(&make)?;
            chroot(".").map_err(&make)?;
        }
        Err(errno) => return Err(make(errno)),
    }
    chdir("/").map_err(make)
}

/// Tries, in a child with namespaces of its own, what [`enter`] will do. Fails where nothing can
/// be done about it; `false`: everything but overlays works.
pub fn try_out(base: &Path, mode: Mode) -> Result<bool, Fault> {
    chdir(base).map_err(fault(&format!("enter `{}`", base.display())))?;
    let pid = clone(mode, false, true)?;
    if pid == 0 {
        let code = match try_mounts() {
            Ok(true) => OVERLAY_WORKS,
            Ok(false) => NO_OVERLAY,
            // Error numbers fit in a byte on every architecture that this runs on.
            Err(fault) => fault.errno.min(NO_OVERLAY - 1),
        };
        // SAFETY: ends the process without running what the parent registered for its own end.
        unsafe { libc::_exit(code) };
    }
    let status = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None)
        .map_err(fault("wait for a child"))?;
    match status {
        nix::sys::wait::WaitStatus::Exited(_, OVERLAY_WORKS) => Ok(true),
        nix::sys::wait::WaitStatus::Exited(_, NO_OVERLAY) => Ok(false),
        nix::sys::wait::WaitStatus::Exited(_, errno) => {
            Err(Fault { what: "mount a fresh `/proc`".into(), errno })
        }
        _ => Err(Fault { what: "run a process in new namespaces".into(), errno: libc::EPERM }),
    }
}

const OVERLAY_WORKS: i32 = 201;
const NO_OVERLAY: i32 = 200;

fn try_mounts() -> Result<bool, Fault> {
    let trial = Path::new(TRIAL);
    mount_proc(&trial.join(part::TMP))?;
    let (lower, upper) = (trial.join(part::LOWER), trial.join(part::UPPER));
    let merged = trial.join(part::MERGED);
    if mount_overlay(&lower, &upper, &trial.join(part::WORK), &merged).is_err() {
        return Ok(false);
    }
    // Some file systems let an overlay be mounted and then cannot note that a file is gone.
    let works = fs::remove_file(merged.join(part::FILE)).is_ok()
        && fs::create_dir(merged.join("directory")).is_ok()
        && !merged.join(part::FILE).exists();
    Ok(works)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_kernel_is_in_its_release() {
        for (release, expected) in [
            ("6.18.5", Some((6, 18))),
            ("5.10.0-28-amd64", Some((5, 10))),
            ("6.9-rc1", Some((6, 9))),
            ("unknown", None),
        ] {
            assert_eq!(version(release), expected, "{release}");
        }
    }
}
