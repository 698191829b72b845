//! Signals: the first interrupt stops a build in good order, the second at once.

use std::sync::{Arc, Mutex, MutexGuard};

use rbz_engine::strategy::Cancel;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::command_error::{CommandError, ErrorKind};
use crate::console::{Console, Severity};
use crate::display::Display;
use crate::reporter::ReporterSink;

/// Listens for interrupts until the process ends.
#[derive(Clone, Debug, Default)]
pub struct Interrupts {
    cancel: Cancel,
    /// Set while there are actions to be ended and results to be kept. Waiting, loading and
    /// analysis leave nothing half done, and end at the first interrupt.
    executing: Arc<Mutex<Option<ReporterSink>>>,
}

impl Interrupts {
    /// Begins to listen. What is said about it before anything executes is shown as `display` says.
    pub fn listen(display: Display) -> Result<Interrupts, CommandError> {
        let interrupts = Interrupts::default();
        let mut signals = Signals::new(wanted()).map_err(|error| {
            CommandError::environment(format!("cannot listen for signals: {error}"))
        })?;
        let own = interrupts.clone();
        std::thread::spawn(move || {
            for _ in signals.forever() {
                own.interrupt(display);
            }
        });
        Ok(interrupts)
    }

    fn interrupt(&self, display: Display) {
        let executing = self.executing();
        match &*executing {
            Some(sink) if !self.cancel.is_cancelled() => {
                self.cancel.cancel();
                let text = "interrupted: running actions are ended, finished ones are kept";
                sink.note(Severity::Info, text);
            }
            stage => {
                if stage.is_none() {
                    Console::new(display).message(Severity::Error, "interrupted");
                }
                // The sandbox ends all processes when this one does.
                signal_hook::low_level::exit(ErrorKind::Interrupted.exit_status().into());
            }
        }
    }

    /// Does `work`, which looks at what it is given: that is set at the first interrupt. `sink`
    /// shows that there was one.
    pub fn while_executing<T>(&self, sink: ReporterSink, work: impl FnOnce(&Cancel) -> T) -> T {
        *self.executing() = Some(sink);
        let result = work(&self.cancel);
        *self.executing() = None;
        result
    }

    fn executing(&self) -> MutexGuard<'_, Option<ReporterSink>> {
        // Nothing that can panic is done while it is held.
        self.executing.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The signals that end a build. One that whoever called rbz had it ignore, as `nohup` does, stays
/// ignored.
fn wanted() -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = ignored(&status);
    let all = [SIGHUP, SIGINT, SIGTERM];
    all.into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0).collect()
}

/// The set of ignored signals in the text of `/proc/PID/status`: bit 0 is signal 1.
fn ignored(status: &str) -> u64 {
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_which_signals_are_ignored() {
        let text = "Name:\trbz\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored(text), 0x1001);
        assert_eq!(ignored(""), 0);
    }
}
