//! A second line against panics in the Parquet library, behind the checksums.
//!
//! The library panics on some footers and pages that no checksum covers, such as those that somebody
//! made on purpose. Where panics unwind, they become errors here.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook},
    sync::Once,
};

use parquet::errors::{ParquetError, Result};

thread_local! {
    /// Whether this thread's panics are caught and reported as errors.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Calls `read`; a panic in it is an error, and nothing is printed.
pub fn guarded<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = take_hook();
        set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            if !GUARDED.get() {
                previous(info);
            }
        }));
    });
    let before = GUARDED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(before);
    outcome.unwrap_or_else(|_| {
        let sentence = "the Parquet library cannot read it".to_string();
        Err(ParquetError::General(sentence))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_the_thread_goes_on() {
        let error = guarded(|| -> Result<()> { panic!("not to be seen") }).unwrap_err();
        assert!(error.to_string().contains("cannot read"), "{error}");
        assert_eq!(guarded(|| Ok(1)).unwrap(), 1);
        assert!(!GUARDED.get());
    }
}
