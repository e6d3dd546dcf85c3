//! Handles Ctrl-C: the first one asks running work to end at its next step, the second ends the program at
//! once.

use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Installs the handler of Ctrl-C. If the system refuses, Ctrl-C keeps its default meaning.
pub fn listen() {
    let _ = ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(crate::INTERRUPTED));
        }
    });
}

/// Whether Ctrl-C was pressed since the program began.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}
