//! Requests from outside: stop, or save now.
//!
//! | signal | effect |
//! | --- | --- |
//! | `SIGINT` (Ctrl-C) | the step is finished and saved, the run ends with exit code 130 |
//! | `SIGINT` after a request to stop | the process ends at once; the last checkpoint is intact |
//! | `SIGTERM` | as the first `SIGINT`, exit code 143; repeated ones change nothing |
//! | `SIGUSR1` | the run is saved after the step and goes on |
//! | `SIGHUP` | left as it was inherited: ignored under `nohup` |

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::{SigId, flag, low_level};

use crate::error::Exit;

/// Listens for signals as long as it lives.
#[derive(Debug)]
pub struct Signals {
    /// Exit code asked for; 0 while none is.
    stop: Arc<AtomicUsize>,
    save: Arc<AtomicBool>,
    registered: Vec<SigId>,
}

impl Signals {
    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// The system refuses the handlers.
    pub fn listen() -> io::Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        let mut signals = Self {
            stop: Arc::default(),
            save: Arc::default(),
            registered: Vec::new(),
        };
        let mut keep = |id: io::Result<SigId>| id.map(|id| signals.registered.push(id));
        // Handlers run in the order of registration: the first SIGINT finds
        // `stopping` unset, a later one ends the process.
        let interrupted = i32::from(Exit::Interrupted.code());
        keep(flag::register_conditional_shutdown(
            SIGINT,
            interrupted,
            Arc::clone(&stopping),
        ))?;
        for (signal, exit) in [(SIGINT, Exit::Interrupted), (SIGTERM, Exit::Terminated)] {
            keep(flag::register(signal, Arc::clone(&stopping)))?;
            let code = usize::from(exit.code());
            keep(flag::register_usize(
                signal,
                Arc::clone(&signals.stop),
                code,
            ))?;
        }
        keep(flag::register(SIGUSR1, Arc::clone(&signals.save)))?;
        Ok(signals)
    }

    /// How the run was asked to end, [`Exit::Interrupted`] or [`Exit::Terminated`].
    pub fn stop(&self) -> Option<Exit> {
        let code = self.stop.load(Ordering::Relaxed);
        [Exit::Interrupted, Exit::Terminated]
            .into_iter()
            .find(|exit| usize::from(exit.code()) == code)
    }

    /// Whether a checkpoint was asked for since the last call.
    pub fn take_save_request(&self) -> bool {
        self.save.swap(false, Ordering::Relaxed)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.registered.drain(..) {
            low_level::unregister(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test: the signals of a process are shared by all its threads.
    #[test]
    fn signals_become_requests() -> io::Result<()> {
        let signals = Signals::listen()?;
        assert_eq!(signals.stop(), None);
        assert!(!signals.take_save_request());

        low_level::raise(SIGUSR1)?;
        assert_eq!(signals.stop(), None);
        assert!(signals.take_save_request());
        assert!(!signals.take_save_request(), "a request is taken once");

        low_level::raise(SIGTERM)?;
        low_level::raise(SIGTERM)?;
        assert_eq!(signals.stop(), Some(Exit::Terminated));
        drop(signals);

        let signals = Signals::listen()?;
        low_level::raise(SIGINT)?;
        assert_eq!(signals.stop(), Some(Exit::Interrupted));
        Ok(())
    }
}
