//! What `strace` saw of a call of `rbz`: which processes began, which files were opened.

use std::path::{Path, PathBuf};

/// The record of one call.
#[derive(Debug, Default)]
pub struct Trace {
    /// The processes that it made, each as the system call that did; threads do not count.
    pub processes: Vec<String>,
    /// The files that were opened, by the path that was given.
    pub opened: Vec<PathBuf>,
}

impl Trace {
    pub(crate) fn read(file: &Path) -> Self {
        let text = crate::workspace::read(file);
        let mut trace = Trace::default();
        for line in text.lines() {
            // PID SYSCALL(ARGUMENTS) = RESULT; of an interrupted call the first half has the
            // arguments, which is all that is needed.
            let call = line.split_once(' ').map_or(line, |(_, call)| call.trim_start());
            let name = call.split('(').next().unwrap_or_default();
            match name {
                "execve" => trace.processes.push(call.to_owned()),
                "clone" | "clone3" if !call.contains("CLONE_THREAD") => {
                    trace.processes.push(call.to_owned());
                }
                "fork" | "vfork" => trace.processes.push(call.to_owned()),
                "open" | "openat" | "openat2" if !call.contains("= -1 ") => {
                    if let Some(path) = call.split('"').nth(1) {
                        trace.opened.push(path.into());
                    }
                }
                _ => {}
            }
        }
        // The first is rbz itself.
        assert!(
            trace.processes.first().is_some_and(|call| call.starts_with("execve(")),
            "the trace begins with rbz:\n{text}"
        );
        trace.processes.remove(0);
        trace
    }

    /// The files below `directory` that were opened, by their path in it.
    pub fn opened_below(&self, directory: &Path) -> Vec<String> {
        // A relative path was given by somebody who works there.
        let opened = self.opened.iter().map(|path| directory.join(path));
        let below = opened.filter_map(|path| Some(path.strip_prefix(directory).ok()?.to_owned()));
        let below = below.filter(|path| directory.join(path).is_file());
        below.map(|path| path.to_string_lossy().into_owned()).collect()
    }
}
