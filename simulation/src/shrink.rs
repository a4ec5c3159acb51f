//! From a run that fails to a short story: steps are left out as long as it still fails.

use std::fmt;

use crate::script::{Script, Step};
use crate::{Defect, Ended, Keys};

/// A run that fails, told.
#[derive(Debug)]
pub struct Story {
    /// The steps.
    pub script: Script,
    /// How it ended.
    pub ended: Ended,
    /// How many steps there were before.
    pub of: usize,
}

/// Leaves out what does not matter: halves of the steps, quarters and so on down to single ones; then what is left is
/// made smaller. At most `tries` runs.
///
/// # Errors
/// The simulation itself cannot be set up.
pub fn shrink(
    script: &Script,
    ended: Ended,
    keys: &Keys,
    defect: Defect,
    tries: usize,
) -> anyhow::Result<Story> {
    let of = script.steps.len();
    let mut story = Story {
        script: script.clone(),
        ended,
        of,
    };
    // Nothing after the step that failed matters.
    if let Some((Some(no), _)) = &story.ended.broken {
        let no = *no;
        story.script.steps.retain(|(step, _)| *step <= no);
    }
    let mut left = tries;
    let mut size = story.script.steps.len().div_ceil(2);
    while size > 0 && left > 0 {
        let mut from = 0;
        let mut has_shrunk = false;
        while from < story.script.steps.len() && left > 0 {
            let mut shorter = story.script.clone();
            let to = (from + size).min(shorter.steps.len());
            shorter.steps.drain(from..to);
            left -= 1;
            if story.try_instead(shorter, keys, defect)? {
                has_shrunk = true;
            } else {
                from += size;
            }
        }
        if !(has_shrunk && size == 1) {
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }
    for place in 0..story.script.steps.len() {
        while left > 0 {
            let mut smaller = story.script.clone();
            let Some(step) = smaller.steps.get_mut(place) else {
                break;
            };
            let Some(less) = less(step.1) else { break };
            step.1 = less;
            left -= 1;
            if !story.try_instead(smaller, keys, defect)? {
                break;
            }
        }
    }
    Ok(story)
}

impl Story {
    fn try_instead(&mut self, script: Script, keys: &Keys, defect: Defect) -> anyhow::Result<bool> {
        let ended = crate::run(&script, keys, defect)?;
        if ended.broken.is_none() {
            return Ok(false);
        }
        self.script = script;
        self.ended = ended;
        Ok(true)
    }
}

/// The same step with less of it.
fn less(step: Step) -> Option<Step> {
    match step {
        Step::Sell { till, sales, pause } if sales > 1 => Some(Step::Sell {
            till,
            sales: sales / 2,
            pause,
        }),
        Step::SellTogether { sales } if sales > 2 => Some(Step::SellTogether { sales: sales / 2 }),
        Step::Wait { seconds } if seconds > 60 => Some(Step::Wait {
            seconds: seconds / 4,
        }),
        _ => None,
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = self.script.steps.len();
        writeln!(
            f,
            "seed {}: {steps} of {} steps are enough:",
            self.script.seed, self.of
        )?;
        for (no, step) in &self.script.steps {
            writeln!(f, "  {no:>4}. {step}")?;
        }
        match &self.ended.broken {
            Some((Some(no), what)) => write!(f, "  then, after step {no}: {what}"),
            Some((None, what)) => write!(f, "  then, when all faults are over: {what}"),
            None => write!(f, "  and nothing is broken"),
        }
    }
}
