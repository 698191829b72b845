//! The init: a small process without threads that owns the namespaces and forks reapers.
//!
//! It is rbz itself, started again with a hidden first argument, so that what it forks has a
//! small address space: a fork of the build itself would copy the page tables of gigabytes, and
//! is not allowed to make a user namespace, as it has threads.

use std::convert::Infallible;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{self, ForkResult};

use super::message::{self, Hello, Mode, Report, Start};
use super::reaper;
use super::rules;
use super::view::{self, Fault, fault};

/// The hidden first argument.
pub const INIT_ARGUMENT: &str = "__sandbox-init";

/// The descriptor on which an init finds its socket.
pub const INIT_SOCKET: i32 = 3;

/// Becomes the init, and never returns, if this process was started as one. To be called first
/// thing in `main`, before there are threads.
pub fn maybe_become_init() {
    let mut arguments = std::env::args_os();
    if arguments.nth(1).is_none_or(|argument| argument != INIT_ARGUMENT) {
        return;
    }
    // SAFETY: whoever starts an init leaves its socket there, and nothing here has opened a
    // descriptor yet. If somebody types the hidden argument by hand, the first use fails.
    let socket = unsafe { OwnedFd::from_raw_fd(INIT_SOCKET) };
    let Ok(Some((hello, _))) = message::receive::<Hello>(socket.as_fd()) else {
        std::process::exit(2);
    };
    // rbz itself does without huge pages; what it starts decides for itself. Should that fail they
    // are only slower.
    let _ = prctl::set_thp_disable(false);
    let Err(Fault { what, errno }) = run(&socket, &hello);
    message::report(&socket, &Report::Failed { what, errno });
    std::process::exit(1);
}

fn run(socket: &OwnedFd, hello: &Hello) -> Result<Infallible, Fault> {
    // Keys pressed at the terminal are for rbz, which ends us in its own way, or for what we start.
    if hello.terminal {
        for key in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTSTP] {
            // SAFETY: ignoring a signal installs no code of ours.
            let _ = unsafe { signal(key, SigHandler::SigIgn) };
        }
    } else {
        let _ = unistd::setsid();
    }
    if !hello.mode.has_namespaces() {
        if hello.mode == Mode::Landlock {
            rules::try_out(&hello.base)?;
        }
        // Those of reapers that were killed.
        reaper::adopt_orphans()?;
        message::report(socket, &Report::Ready { overlay: false });
        serve(socket, hello.mode);
    }
    if unistd::geteuid().is_root() {
        // Left as it is where a container forbids it: then the groups show, as for other users.
        let _ = unistd::setgroups(&[]);
    }
    let (uid, gid) = (unistd::geteuid(), unistd::getegid());
    if hello.mode == Mode::UserNamespaces {
        unshare(CloneFlags::CLONE_NEWUSER)
            .map_err(fault("make a user namespace (`unshare(CLONE_NEWUSER)`)"))?;
        // The kernel lets nobody map groups who could still drop groups that forbid something.
        write("/proc/self/setgroups", "deny")?;
        write("/proc/self/uid_map", &format!("{} {uid} 1", view::UID))?;
        write("/proc/self/gid_map", &format!("{} {gid} 1", view::UID))?;
    }
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    unshare(namespaces).map_err(fault("make mount, pid, ipc and uts namespaces"))?;
    // Only hides the name of a control group; old kernels cannot.
    let _ = unshare(CloneFlags::CLONE_NEWCGROUP);

    // The first child becomes the first process of the pid namespace: when it ends, all end.
    // SAFETY: this process has one thread, so that the child can do whatever the parent could.
    match unsafe { unistd::fork() }.map_err(fault("fork"))? {
        ForkResult::Parent { child } => {
            // Only the child holds the socket now. The parent stays so that rbz has a child of
            // its own to wait for, which ends after everything in the namespace.
            // SAFETY: `socket` is not used again in this process, which ends below.
            unsafe { libc::close(socket.as_raw_fd()) };
            let _ = nix::sys::wait::waitpid(child, None);
            std::process::exit(0);
        }
        ForkResult::Child => {}
    }
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .map_err(fault("make the mounts private"))?;
    unistd::sethostname("localhost").map_err(fault("set the host name"))?;
    make_devices(&hello.base)?;
    let overlay = view::try_out(&hello.base, hello.mode)?;
    message::report(socket, &Report::Ready { overlay });
    serve(socket, hello.mode)
}

/// Forks a reaper for each request, until rbz is gone.
fn serve(socket: &OwnedFd, mode: Mode) -> ! {
    // Reapers are reaped by the kernel; they report to rbz themselves.
    // SAFETY: ignoring a signal installs no code of ours.
    let _ = unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) };
    while let Ok(Some((start, fds))) = message::receive::<Start>(socket.as_fd()) {
        let mut fds = fds.into_iter();
        let (Some(request), Some(control)) = (fds.next(), fds.next()) else { break };
        match clone(mode, start.network, start.role.has_own_pids()) {
            Ok(0) => {
                // SAFETY: the reaper has no use for the init's socket, and never returns from
                // here to code that has. It must not keep it: rbz waits for its other end.
                unsafe { libc::close(socket.as_raw_fd()) };
                reaper::run(mode, start.role, request, control, fds.collect());
            }
            Ok(_) => {}
            Err(Fault { what, errno }) => {
                message::report(&control, &Report::Failed { what, errno });
            }
        }
    }
    if !mode.has_namespaces() {
        reaper::end_descendants(|_, _| {});
    }
    std::process::exit(0);
}

/// Forks, with new namespaces for the child. Returns 0 in the child.
pub fn clone(mode: Mode, network: bool, own_pids: bool) -> Result<i32, Fault> {
    let mut flags = CloneFlags::empty();
    if mode.has_namespaces() {
        flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC;
        if own_pids {
            flags |= CloneFlags::CLONE_NEWPID;
        }
        if !network {
            flags |= CloneFlags::CLONE_NEWNET;
        }
    }
    let flags = libc::c_long::from(flags.bits() | libc::SIGCHLD);
    let none: libc::c_long = 0;
    // SAFETY: without CLONE_VM and with no stack given this is fork, and this process has one
    // thread; all arguments but the first are 0 on every architecture's order of them.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) };
    if pid < 0 {
        return Err(fault("fork with new namespaces")(nix::errno::Errno::last()));
    }
    // Process ids are less than 2^22.
    Ok(pid as i32)
}

/// A `/dev` with the devices that have no state. Each view gets a copy of this mount.
fn make_devices(base: &Path) -> Result<(), Fault> {
    let dev = base.join(view::DEVICES);
    let flags = MsFlags::MS_NOSUID;
    let options = Some("mode=0755,size=64k");
    mount(Some("tmpfs"), &dev, Some("tmpfs"), flags, options).map_err(fault("mount a `/dev`"))?;
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let (from, to) = (Path::new("/dev").join(name), dev.join(name));
        if !from.exists() {
            continue;
        }
        File::create(&to)
            .map_err(|error| Fault::io(format!("create `{}`", to.display()), &error))?;
        mount(Some(&from), &to, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .map_err(fault(&format!("mount `{}`", from.display())))?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        symlink(target, dev.join(name)).map_err(|error| Fault::io("fill `/dev`", &error))?;
    }
    for name in ["shm", "pts"] {
        fs::create_dir(dev.join(name)).map_err(|error| Fault::io("fill `/dev`", &error))?;
    }
    let flags = flags | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | MsFlags::MS_BIND;
    mount(None::<&str>, &dev, None::<&str>, flags, None::<&str>)
        .map_err(fault("make `/dev` read-only"))
}

fn write(path: &str, text: &str) -> Result<(), Fault> {
    fs::write(path, text).map_err(|error| Fault::io(format!("write `{path}`"), &error))
}

/// Marks every descriptor from `first` on as closed on `exec`.
pub fn close_on_exec_from(first: u32) {
    // SAFETY: only marks descriptors. An old kernel refuses the call; then each is marked alone.
    let done =
        unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 {
        return;
    }
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return };
    for entry in entries.flatten() {
        if let Some(fd) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok())
            && u32::try_from(fd).is_ok_and(|fd| fd >= first)
        {
            // SAFETY: marks the descriptor, which exists while it is listed or is refused.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            let _ = nix::fcntl::fcntl(fd, nix::fcntl::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC));
        }
    }
}
