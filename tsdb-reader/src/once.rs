//! A value made on first use, by one thread, whose making may fail.
//!
//! Opening a symbol table reads and sums gigabytes: two threads must not both do it. A failure is handed to its
//! caller and not kept, so that a later use tries again.

use std::sync::{Mutex, OnceLock, PoisonError};

#[derive(Debug)]
pub(crate) struct OnceValue<T> {
    value: OnceLock<T>,
    making: Mutex<()>,
}

impl<T> OnceValue<T> {
    pub(crate) fn new() -> Self {
        Self { value: OnceLock::new(), making: Mutex::new(()) }
    }

    pub(crate) fn get_or_try_make<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        // The lock guards no data, so a panic of another thread leaves nothing half done behind it.
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        let made = make()?;
        Ok(self.value.get_or_init(|| made))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_is_not_kept_and_success_is_made_once() {
        let value = OnceValue::new();
        assert_eq!(value.get_or_try_make(|| Err::<u8, _>("first")), Err("first"));
        assert_eq!(value.get_or_try_make(|| Ok::<u8, &str>(1)), Ok(&1));
        assert_eq!(value.get_or_try_make(|| Ok::<u8, &str>(2)), Ok(&1));
    }
}
