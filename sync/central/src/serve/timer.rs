//! The built-in timer: the periodic work, without anybody who calls for it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::hq::{Hq, SharedHq};
use crate::problem::Problem;
use crate::worker;

/// Held by the instance that does the work: two do not double it.
const LOCK: i64 = 7_210_002;

/// Does the work now and then until the stop signal.
pub(super) async fn run(hq: SharedHq, every: Duration, stop: CancellationToken) {
    loop {
        // A task of its own: whatever a turn meets, the next one comes.
        let of_turn = Arc::clone(&hq);
        match tokio::spawn(async move { turn(&of_turn).await }).await {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => {
                tracing::warn!(detail = %problem.detail, "the periodic work was not done; it is tried again");
            }
            Err(error) => {
                tracing::error!(%error, "the periodic work met a defect; it is tried again");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = hq.clock.sleep(every) => {}
        }
    }
}

/// One turn, unless another instance is at it.
async fn turn(hq: &Hq) -> Result<(), Problem> {
    let Some(_alone) = hq.db.alone(LOCK).await? else {
        return Ok(());
    };
    let turn = worker::turn(hq).await?;
    tracing::debug!(?turn, "the periodic work is done");
    Ok(())
}
