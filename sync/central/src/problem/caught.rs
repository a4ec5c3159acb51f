//! Work whose defects stop nothing else: a request, a company in a turn of the worker.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;

use super::Problem;

/// Drives a future and turns a panic in it into a problem. What panicked is dropped, never polled again.
///
/// # Errors
/// `internal`: it has panicked.
pub async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Problem> {
    let mut work = pin!(work);
    std::future::poll_fn(move |context| {
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => std::task::Poll::Ready(Err(Problem::defect(
                &"something met a defect; the panic above says where",
            ))),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Code;

    /// A panic is a problem with a reference; anything else passes through.
    #[tokio::test]
    async fn panics_are_problems() {
        assert_eq!(caught(async { 1 }).await.ok(), Some(1));
        let problem = caught(async { panic!("planted") }).await.map(|(): ()| ());
        assert_eq!(problem.unwrap_err().code, Code::Internal);
    }
}
