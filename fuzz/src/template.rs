//! A shop's template and a receipt under it: a template is refused with its line, or reads nothing that is not
//! on the paper.
//!
//! Most of the time goes into compiling patterns, so templates are remembered for a while: a fuzzer changes the
//! receipt more often than the template.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use drivers::capture::read::read;
use drivers::capture::template::Template;

use crate::input::Input;
use crate::paper;
use crate::receipt::{by, job, judge};

thread_local! {
    static KNOWN: RefCell<HashMap<String, Option<Rc<Template>>>> = RefCell::default();
}

/// Templates that are remembered.
const MEMORY: usize = 512;

/// The template's text, a byte 00, and the receipt: a byte that says how, then as in [`crate::receipt`].
pub(crate) fn run(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let source = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let source = expanded(&source);
    let Some(template) = parsed(&source) else {
        return;
    };
    let mut input = Input::new(parts.next().unwrap_or_default());
    let bytes = if input.byte() & 0x80 == 0 {
        input.rest().to_vec()
    } else {
        let made = paper::made(&mut input);
        paper::damaged(made.bytes, &mut input)
    };
    let templates = std::slice::from_ref(&*template);
    judge(&by(&template, &bytes), templates);
    judge(&read(&job(bytes), templates), templates);
}

fn parsed(source: &str) -> Option<Rc<Template>> {
    KNOWN.with_borrow_mut(|known| {
        if let Some(template) = known.get(source) {
            return template.clone();
        }
        if known.len() >= MEMORY {
            known.clear();
        }
        let template = match Template::parse(source) {
            Ok(template) => Some(Rc::new(template)),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                let lines = source.lines().count() + 1;
                assert!(error.line.is_none_or(|line| (1..=lines).contains(&line)));
                None
            }
        };
        known.insert(source.to_owned(), template.clone());
        template
    })
}

/// Short marks for what is long to write: a fuzzer that must keep every letter of a template right finds no other
/// template.
fn expanded(source: &str) -> String {
    let marks = [
        (
            "\u{1}",
            "name = 't'\nkind = 'fiscal_sale'\n[match]\nall = ['TOTAL|SOMME|DUE']\n",
        ),
        (
            "\u{2}",
            "[header]\nreceipt_no = '(Receipt No: |Sale #|Bon: ){receipt_no}'\ndate = '{date}'\n",
        ),
        (
            "\u{3}",
            "[items]\nstart = 'DESCR|-- ITEMS|^=+$'\nend = '^(TOTAL|Items|=+$)'\n",
        ),
        ("\u{4}", "[[items.line]]\nrows = "),
        (
            "\u{5}",
            "[tax]\nmap = { A = '15.5', B = '0', V = '15.5', 1 = '15' }\n",
        ),
        ("\u{6}", "[currency]\ndefault = 'USD'\n"),
        (
            "\u{7}",
            "[payments]\nmap = { CASH = 'cash', Cash = 'cash' }\nrow = ",
        ),
    ];
    let mut out = source.to_owned();
    for (mark, text) in marks {
        out = out.replace(mark, text);
    }
    out
}
