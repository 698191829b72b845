//! Signals: the first interrupt stops a build in good order, the second at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rbz_engine::strategy::Cancel;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::command_error::{CommandError, ErrorKind};
use crate::console::Severity;
use crate::reporter::ReporterSink;

/// Listens for interrupts until the process ends.
#[derive(Clone, Debug, Default)]
pub struct Interrupts {
    cancel: Cancel,
    /// Whether there are actions to be ended and results to be kept. Loading and analysis leave
    /// nothing half done, and end at the first interrupt.
    executing: Arc<AtomicBool>,
}

impl Interrupts {
    /// Begins to listen. `sink` shows what is going on.
    pub fn listen(sink: ReporterSink) -> Result<Interrupts, CommandError> {
        let interrupts = Interrupts::default();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|error| {
            CommandError::environment(format!("cannot listen for signals: {error}"))
        })?;
        let own = interrupts.clone();
        std::thread::spawn(move || {
            for _ in signals.forever() {
                if own.cancel.is_cancelled() || !own.executing.load(Ordering::SeqCst) {
                    // The sandbox ends all processes when this one does.
                    signal_hook::low_level::exit(ErrorKind::Interrupted.exit_status().into());
                }
                own.cancel.cancel();
                let text = "interrupted: running actions are ended, finished ones are kept";
                sink.note(Severity::Info, text);
            }
        });
        Ok(interrupts)
    }

    /// What is set at the first interrupt.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// Says whether actions run now.
    pub fn set_executing(&self, executing: bool) {
        self.executing.store(executing, Ordering::SeqCst);
    }
}
