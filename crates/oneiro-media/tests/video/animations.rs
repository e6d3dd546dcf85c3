//! Files and folders that need no program.
