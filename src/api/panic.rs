//! A defect in a handler ends as a problem document, not as a broken connection.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;

use super::problem::{Problem, ProblemCode};

/// Drives a future and turns a panic in it into a problem. What panicked is dropped, never polled again.
pub(super) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Problem> {
    let mut work = pin!(work);
    std::future::poll_fn(move |context| {
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => {
                tracing::error!("a request met a defect; the panic above says where");
                let detail = "the request met a defect; nothing is known of its outcome";
                std::task::Poll::Ready(Err(Problem::new(ProblemCode::Defect, detail)))
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A panic is a problem with a code; anything else passes through.
    #[tokio::test]
    async fn panics_are_problems() {
        assert_eq!(caught(async { 1 }).await.ok(), Some(1));
        let problem = caught(async { panic!("planted") }).await.map(|(): ()| ());
        assert_eq!(problem.unwrap_err().code(), "defect");
    }
}
