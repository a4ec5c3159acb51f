//! Files of offline devices: what is checked at once, what is found later, and how they wait.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fdms_sandbox::{
    DayStatus, DeviceChange, FileError, FileStatus, FileTransport, FilesOfOpenDays, OperatingMode,
    Settings,
};
use serde_json::{Value, json};

use crate::offline::list_query;
use crate::till::{Answer, Bench, DEVICE, Till};

/// A sandbox and a registered till that sends files.
async fn start_with(settings: Settings) -> (Bench, Till) {
    let bench = Bench::start_with(settings).await;
    let mut till = bench.till().await;
    set_mode(&bench, OperatingMode::Offline);
    till.begin_day(1);
    (bench, till)
}

async fn start() -> (Bench, Till) {
    start_with(Settings::default()).await
}

fn set_mode(bench: &Bench, mode: OperatingMode) {
    let change = DeviceChange {
        operating_mode: Some(mode),
        ..DeviceChange::default()
    };
    bench.sandbox.change_device(DEVICE, change).unwrap();
}

/// `CompleteSuccessful`, or the state with its error.
fn states(bench: &Bench) -> Vec<String> {
    let files = bench.sandbox.files(DEVICE);
    let state = |file: &fdms_sandbox::StoredFile| match file.error {
        None => format!("{:?}", file.status),
        Some(error) => format!("{:?} {error:?}", file.status),
    };
    files.iter().map(state).collect()
}

fn last_state(bench: &Bench) -> String {
    states(bench).pop().unwrap()
}

/// A day in three files opens, is filled and is closed; its receipts are judged like any others and the
/// next day goes on from them.
#[tokio::test]
async fn a_day_in_files() {
    let (bench, mut till) = start().await;
    let first = vec![till.sold(), till.sold()];
    assert_eq!(till.send_file(&till.file(1, first)).await.status, 200);
    let days = bench.sandbox.days(DEVICE);
    assert_eq!(days[0].status, DayStatus::FiscalDayOpened);
    assert_eq!(days[0].fiscal_day_opened, till.opened);
    let second = vec![till.sold()];
    let mut file = till.file(2, second);
    // The opening of the file with the lower number counts.
    file["header"]["fiscalDayOpened"] = "2026-05-28T06:00:00".into();
    assert_eq!(till.send_file(&file).await.status, 200);
    assert_eq!(till.send_file(&till.footer_file(3)).await.status, 200);
    assert_eq!(states(&bench), ["CompleteSuccessful"; 3]);
    let days = bench.sandbox.days(DEVICE);
    assert_eq!(days[0].status, DayStatus::FiscalDayClosed);
    assert_eq!(days[0].fiscal_day_closed, Some(till.now()));
    assert_eq!(days[0].receipt_count, 3);

    till.begin_day(2);
    let receipts = vec![till.sold()];
    let mut file = till.file(1, receipts);
    file["footer"] = till.footer();
    assert_eq!(till.send_file(&file).await.status, 200);
    assert_eq!(last_state(&bench), "CompleteSuccessful");
    let receipts = bench.sandbox.receipts(DEVICE);
    assert_eq!(receipts.len(), 4);
    assert!(receipts.iter().all(|r| r.validation_errors.is_empty()));

    // An empty day may leave its counters out.
    till.begin_day(3);
    let mut file = till.footer_file(1);
    file["footer"]["fiscalDayCounters"] = json!(null);
    assert_eq!(till.send_file(&file).await.status, 200);
    assert_eq!(last_state(&bench), "CompleteSuccessful");

    // Back online, the last day is as the files left it.
    set_mode(&bench, OperatingMode::Online);
    let status = till.get("GetStatus").await.body;
    assert_eq!(status["fiscalDayStatus"], "FiscalDayClosed");
    assert_eq!(status["fiscalDayReconciliationMode"], "Auto");
    assert_eq!(
        (&status["lastFiscalDayNo"], &status["lastReceiptGlobalNo"]),
        (&json!(3), &json!(4))
    );
}

/// What is refused at once, with its code, and keeps nothing.
#[tokio::test]
async fn files_refused_at_once() {
    let (bench, mut till) = start().await;
    let receipt = till.sold();
    let good = till.file(1, vec![receipt]);
    let send = async |body: String| till.send_text("text/plain", body).await.refusal();
    assert_eq!(send(String::new()).await, "400");
    let empty = till.send_text("text/plain", " ".to_owned()).await;
    assert_eq!(empty.body["detail"], "Content is empty");
    assert_eq!(
        till.send_text("application/json", good.to_string())
            .await
            .status,
        415
    );
    for (change, wanted) in [
        (json!({"header": {"fileSequence": 1}}), "422 FILE02"),
        (json!({"header": null}), "422 FILE02"),
        (json!({"content": []}), "422 FILE02"),
        (json!({"content": {"receipts": null}}), "422 FILE02"),
        (json!({"footer": 7}), "422 FILE02"),
    ] {
        let mut file = good.clone();
        for (key, value) in change.as_object().unwrap() {
            file[key] = value.clone();
        }
        assert_eq!(till.send_file(&file).await.refusal(), wanted, "{change}");
    }
    assert_eq!(send("{".to_owned()).await, "422 FILE02");
    let mut foreign = good.clone();
    foreign["header"]["deviceId"] = 43.into();
    assert_eq!(till.send_file(&foreign).await.refusal(), "422 FILE05");
    let padded = |length: usize| {
        let text = till.text_of(&good);
        format!("{text}{}", " ".repeat(length - text.len()))
    };
    assert_eq!(send(padded((3 << 20) + 1)).await, "422 FILE01");
    set_mode(&bench, OperatingMode::Online);
    assert_eq!(till.send_file(&good).await.refusal(), "422 FILE03");
    let list = till.get(&list_query(&till)).await;
    assert_eq!(list.refusal(), "422 FILE03");
    set_mode(&bench, OperatingMode::Offline);
    assert_eq!(bench.sandbox.files(DEVICE), []);

    assert_eq!(send(padded(3 << 20)).await, "200");
    assert_eq!(till.send_file(&till.footer_file(2)).await.status, 200);
    assert_eq!(states(&bench), ["CompleteSuccessful"; 2]);
    assert_eq!(till.send_file(&good).await.refusal(), "422 FILE04");
    bench.sandbox.delete_device(DEVICE).unwrap();
    assert_eq!(till.send_file(&good).await.refusal(), "404");
}

/// A day that is being closed by CloseDay takes no file, and is waited for by the next day's.
#[tokio::test]
async fn files_while_a_day_is_being_closed() {
    let bench = Bench::start_with(Settings {
        close_delay_ms: 5000,
        ..Settings::default()
    })
    .await;
    let mut till = bench.open_till().await;
    let answer = till.post("CloseDay", &till.close_message()).await;
    assert_eq!(answer.status, 200);
    set_mode(&bench, OperatingMode::Offline);
    assert_eq!(
        till.send_file(&till.file(1, vec![])).await.refusal(),
        "422 FILE04"
    );
    till.begin_day(2);
    assert_eq!(till.send_file(&till.file(1, vec![])).await.status, 200);
    assert_eq!(states(&bench), ["WaitingForPreviousFile"]);
    bench.clock.advance(Duration::from_secs(5));
    assert_eq!(states(&bench), ["CompleteSuccessful"]);
    assert_eq!(
        bench.sandbox.days(DEVICE)[1].status,
        DayStatus::FiscalDayOpened
    );
}

/// Each way to travel takes its own form only.
#[tokio::test]
async fn ways_to_travel() {
    let (bench, till) = start().await;
    let text = till.text_of(&till.file(1, vec![]));
    let packed = STANDARD.encode(&text);
    let form = "multipart/form-data; boundary=abc";
    let parts = format!(
        "--abc\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n{packed}\r\n--abc--\r\n"
    );
    let forms = [
        ("text/plain", &text),
        ("text/plain", &packed),
        (form, &parts),
    ];
    let ways = [
        (FileTransport::JsonTextPlain, ["200", "422 FILE02", "415"]),
        (FileTransport::Base64TextPlain, ["422 FILE02", "200", "415"]),
        (FileTransport::MultipartBase64, ["415", "415", "200"]),
    ];
    for (way, wanted) in ways {
        bench.sandbox.set_settings(Settings {
            file_transport: way,
            ..Settings::default()
        });
        for ((kind, body), wanted) in forms.iter().zip(wanted) {
            let answer = till.send_text(kind, (*body).clone()).await;
            assert_eq!(answer.refusal(), wanted, "{way:?} {kind}");
        }
    }
    let files = bench.sandbox.files(DEVICE);
    assert!(files.iter().all(|file| file.raw == text));
    assert_eq!(files.len(), 3);
}

/// Names and enum values are read in any case.
#[tokio::test]
async fn spelling_does_not_matter() {
    let (bench, mut till) = start().await;
    let receipt = till.sold();
    let mut file = till.file(1, vec![receipt]);
    file["footer"] = till.footer();
    let text = till.text_of(&file);
    let lower = [
        "FiscalInvoice",
        "Sale\"",
        "Cash",
        "SaleByTax",
        "BalanceByMoneyType",
    ];
    let text = lower.iter().fold(text, |text, word| {
        let lower = format!("{}{}", word[..1].to_lowercase(), &word[1..]);
        text.replace(&format!("\"{word}"), &format!("\"{lower}"))
    });
    let text = text
        .replace("taxID", "taxid")
        .replace("\"receipts\"", "\"Receipts\"");
    assert_eq!(till.send_text("text/plain", text).await.status, 200);
    assert_eq!(states(&bench), ["CompleteSuccessful"]);
}

/// A file is in progress for its time and its answers; the list says what became of it.
#[tokio::test]
async fn files_take_their_time() {
    let (bench, mut till) = start_with(Settings {
        file_delay_ms: 4000,
        file_polls: 2,
        ..Settings::default()
    })
    .await;
    let receipts = vec![till.sold()];
    let sent = till.send_file(&till.file(1, receipts)).await;
    let id = sent.body["operationID"].as_str().unwrap().to_owned();
    bench.clock.advance(Duration::from_secs(4));
    for wanted in ["InProgress", "InProgress", "CompleteSuccessful"] {
        let list = till.get(&list_query(&till)).await;
        assert_eq!(list.status, 200);
        assert_eq!(list.body["rows"][0]["fileProcessingStatus"], wanted);
    }
    let list = till.get(&list_query(&till)).await;
    assert!(list.body["operationID"].is_null());
    assert!(list.headers["operationId"].to_str().is_ok());
    let row = json!({
        "fileName": "0000000042-1-1.json",
        "fileUploadDate": "2026-05-28T07:00:10",
        "deviceId": DEVICE,
        "dayNo": 1,
        "fiscalDayOpenedAt": till.opened.to_string(),
        "fileSequence": 1,
        "fileProcessingDate": "2026-05-28T07:00:14",
        "fileProcessingStatus": "CompleteSuccessful",
        "hasFooter": false,
        "operationId": id,
        "ipAddress": "127.0.0.1",
    });
    assert_eq!(list.body, json!({"total": 1, "rows": [row]}));
    let admin = bench.sandbox.admin_url().unwrap();
    let shown = reqwest::get(format!("{admin}/devices/{DEVICE}/files")).await;
    let shown = Answer::of(shown.unwrap()).await.body;
    assert_eq!(shown[0]["operationID"], id);
    assert_eq!(shown[0]["status"], "CompleteSuccessful");
}

/// A file waits for the one before it, and after its time it is too late; then it may come again.
#[tokio::test]
async fn files_wait_for_each_other() {
    let (bench, mut till) = start_with(Settings {
        file_waiting_ms: 60_000,
        ..Settings::default()
    })
    .await;
    let (first, second) = (vec![till.sold()], vec![till.sold()]);
    let (first, second) = (till.file(1, first), till.file(2, second));
    assert_eq!(till.send_file(&second).await.status, 200);
    assert_eq!(states(&bench), ["WaitingForPreviousFile"]);
    assert_eq!(bench.sandbox.days(DEVICE), []);
    bench.clock.advance(Duration::from_secs(59));
    assert_eq!(till.send_file(&first).await.status, 200);
    assert_eq!(states(&bench), ["CompleteSuccessful"; 2]);
    assert_eq!(bench.sandbox.receipt_count(DEVICE), 2);

    let receipts = vec![till.sold()];
    let fourth = till.file(4, receipts);
    assert_eq!(till.send_file(&fourth).await.status, 200);
    bench.clock.advance(Duration::from_secs(61));
    let late = "FailedWithErrors FileExceededAllowedWaitingTime";
    assert_eq!(last_state(&bench), late);
    assert_eq!(bench.sandbox.receipt_count(DEVICE), 2);
    assert_eq!(till.send_file(&till.file(3, vec![])).await.status, 200);
    assert_eq!(till.send_file(&fourth).await.status, 200);
    assert_eq!(last_state(&bench), "CompleteSuccessful");

    // The next day's file waits for this one's footer.
    let footer = till.footer_file(5);
    till.begin_day(2);
    assert_eq!(till.send_file(&till.file(1, vec![])).await.status, 200);
    assert_eq!(last_state(&bench), "WaitingForPreviousFile");
    assert_eq!(till.send_file(&footer).await.status, 200);
    let states = states(&bench);
    assert_eq!(states[states.len() - 2..], ["CompleteSuccessful"; 2]);
}

/// A file sent while its day was open fails if the day is closed before its turn comes.
#[tokio::test]
async fn a_day_closed_in_between() {
    let (bench, till) = start().await;
    assert_eq!(till.send_file(&till.file(1, vec![])).await.status, 200);
    assert_eq!(till.send_file(&till.file(3, vec![])).await.status, 200);
    assert!(bench.sandbox.close_by_hand(DEVICE));
    assert_eq!(last_state(&bench), "FailedWithErrors FileSentForClosedDay");
}

/// Receipts that are not well-shaped: nothing of the file is kept, and it may be sent anew.
#[tokio::test]
async fn wrong_receipts_keep_nothing() {
    let (bench, mut till) = start().await;
    let receipts = vec![till.sold(), till.sold()];
    let mut wrong = till.file(1, receipts.clone());
    wrong["content"]["receipts"][1]["receiptTotal"] = "ten".into();
    assert_eq!(till.send_file(&wrong).await.status, 200);
    assert_eq!(last_state(&bench), "FailedWithErrors IncorrectFileFormat");
    let mut footer = till.file(1, receipts.clone());
    footer["footer"] = json!({"receiptCounter": 2});
    assert_eq!(till.send_file(&footer).await.status, 200);
    assert_eq!(last_state(&bench), "FailedWithErrors IncorrectFileFormat");
    assert_eq!(bench.sandbox.receipt_count(DEVICE), 0);
    assert_eq!(till.send_file(&till.file(1, receipts)).await.status, 200);
    assert_eq!(last_state(&bench), "CompleteSuccessful");
}

/// A Red receipt fails its file and stays; the footer of that file is not processed, a later one finds
/// the receipt. Receipts that are there already are passed over.
#[tokio::test]
async fn red_receipts_fail_the_content() {
    let (bench, mut till) = start().await;
    let good = till.sold();
    let mut red = till.invoice();
    red["receiptTotal"] = 11.into();
    till.sign(&mut red);
    till.goes_on_from(red.clone());
    let mut file = till.file(1, vec![good.clone(), red.clone()]);
    file["footer"] = till.footer();
    assert_eq!(till.send_file(&file).await.status, 200);
    assert_eq!(
        last_state(&bench),
        "FailedWithErrors ReceiptsWithValidationErrors"
    );
    assert_eq!(
        bench.sandbox.days(DEVICE)[0].status,
        DayStatus::FiscalDayOpened
    );
    let list = till.get(&list_query(&till)).await.body;
    let marked = &list["rows"][0]["invoiceWithValidationErrors"];
    assert_eq!(marked.as_array().unwrap().len(), 1);
    assert_eq!(
        (&marked[0]["receiptCounter"], &marked[0]["receiptGlobalNo"]),
        (&json!(2), &json!(2))
    );
    let errors = marked[0]["validationErrors"].as_array().unwrap();
    let codes: Vec<&Value> = errors.iter().map(|e| &e["validationErrorCode"]).collect();
    assert_eq!(codes, ["RCPT019", "RCPT038", "RCPT039"]);

    assert_eq!(
        till.send_file(&till.file(2, vec![good, red])).await.status,
        200
    );
    assert_eq!(last_state(&bench), "CompleteSuccessful");
    assert_eq!(bench.sandbox.receipts(DEVICE)[0].times_received, 2);
    assert_eq!(bench.sandbox.receipt_count(DEVICE), 2);
    assert_eq!(till.send_file(&till.footer_file(3)).await.status, 200);
    assert_eq!(
        last_state(&bench),
        "FailedWithErrors ReceiptsWithValidationErrors"
    );
    let day = &bench.sandbox.days(DEVICE)[0];
    assert_eq!(day.status, DayStatus::FiscalDayCloseFailed);
}

/// A receipt missing in between fails the content; Yellow ones are listed and do no harm.
#[tokio::test]
async fn missing_and_yellow_receipts() {
    let (bench, mut till) = start().await;
    let (first, second) = (till.sold(), till.sold());
    assert_eq!(
        till.send_file(&till.file(1, vec![second])).await.status,
        200
    );
    assert_eq!(last_state(&bench), "FailedWithErrors MissingReceipts");
    assert_eq!(till.send_file(&till.file(2, vec![first])).await.status, 200);
    let mut future = till.invoice();
    future["receiptDate"] = "2026-05-28T20:00:00".into();
    till.sign(&mut future);
    till.goes_on_from(future.clone());
    assert_eq!(
        till.send_file(&till.file(3, vec![future])).await.status,
        200
    );
    let file = bench.sandbox.files(DEVICE).pop().unwrap();
    assert_eq!(
        (file.status, file.error),
        (FileStatus::CompleteSuccessful, None)
    );
    let code = file.bad_receipts[0].validation_errors[0].code.to_string();
    assert_eq!(code, "RCPT031");
    assert_eq!(till.send_file(&till.footer_file(4)).await.status, 200);
    assert_eq!(last_state(&bench), "CompleteSuccessful");
}

/// A wrong footer fails its file, good content stays, and the next footer may be right.
#[tokio::test]
async fn wrong_footers() {
    let (bench, mut till) = start().await;
    let receipts = vec![till.sold()];
    let mut file = till.file(1, receipts);
    file["footer"] = till.footer();
    file["footer"]["fiscalDayDeviceSignature"]["hash"] = "AAAA".into();
    assert_eq!(till.send_file(&file).await.status, 200);
    let mut empty = till.footer_file(2);
    empty["footer"] = till.footer_with(vec![]);
    assert_eq!(till.send_file(&empty).await.status, 200);
    let mut more = till.footer_file(3);
    more["footer"]["receiptCounter"] = 2.into();
    assert_eq!(till.send_file(&more).await.status, 200);
    let errors: Vec<Option<FileError>> = bench
        .sandbox
        .files(DEVICE)
        .iter()
        .map(|file| file.error)
        .collect();
    assert_eq!(
        errors,
        [
            Some(FileError::BadCertificateSignature),
            Some(FileError::CountersMismatch),
            Some(FileError::MissingReceipts),
        ]
    );
    assert_eq!(
        bench.sandbox.days(DEVICE)[0].status,
        DayStatus::FiscalDayCloseFailed
    );
    assert_eq!(till.send_file(&till.footer_file(4)).await.status, 200);
    assert_eq!(last_state(&bench), "CompleteSuccessful");
}

/// With the switch, FDMS takes no file while it has a day of the device open.
#[tokio::test]
async fn files_of_open_days() {
    let (bench, mut till) = start_with(Settings {
        files_of_open_days: FilesOfOpenDays::Refused,
        ..Settings::default()
    })
    .await;
    let receipts = vec![till.sold()];
    assert_eq!(till.send_file(&till.file(1, receipts)).await.status, 200);
    let refused = till.send_file(&till.file(2, vec![])).await;
    assert_eq!(refused.refusal(), "422");
    assert_eq!(
        refused.body["detail"],
        "Device fiscal day status must be FiscalDayClosed"
    );
    bench.sandbox.set_settings(Settings::default());
    assert_eq!(till.send_file(&till.footer_file(2)).await.status, 200);
    assert_eq!(states(&bench), ["CompleteSuccessful"; 2]);
}

/// The list is cut, sorted and filtered as asked; a wrong question is refused.
#[tokio::test]
async fn the_list_answers_its_question() {
    let (bench, till) = start().await;
    for sequence in [3, 1, 2] {
        assert_eq!(
            till.send_file(&till.file(sequence, vec![])).await.status,
            200
        );
        bench.clock.advance(Duration::from_secs(3600));
    }
    let ask = async |more: &str| {
        let list = till.get(&format!("SubmittedFileList?{more}")).await;
        let rows = list.body["rows"].as_array().cloned().unwrap_or_default();
        let numbers: Vec<i64> = rows
            .iter()
            .map(|r| r["fileSequence"].as_i64().unwrap())
            .collect();
        (list.refusal(), list.body["total"].clone(), numbers)
    };
    let window = "FileUploadedFrom=2026-05-28T07:00:00&FileUploadedTill=2026-05-28T09:00:00";
    let all = format!("Offset=0&Limit=10&{window}");
    let ok = |total: i32, numbers: &[i64]| ("200".to_owned(), json!(total), numbers.to_vec());
    assert_eq!(ask(&all).await, ok(3, &[3, 1, 2]));
    assert_eq!(ask(&format!("{all}&Order=desc")).await, ok(3, &[2, 1, 3]));
    assert_eq!(
        ask(&format!("{all}&Sort=FileName")).await,
        ok(3, &[1, 2, 3])
    );
    let paged = format!("Offset=1&Limit=1&Sort=FileName&Order=desc&{window}");
    assert_eq!(ask(&paged).await, ok(3, &[2]));
    let early = all.replace("T09:00:00", "T07:30:00");
    assert_eq!(ask(&early).await, ok(1, &[3]));
    let id = bench.sandbox.files(DEVICE)[1].operation_id.clone();
    assert_eq!(ask(&format!("{all}&OperationID={id}")).await, ok(1, &[1]));
    assert_eq!(ask(&format!("{early}&OperationID={id}")).await, ok(0, &[]));
    let either = format!("{early}&OperationID={id}&Operator=Or");
    assert_eq!(ask(&either).await, ok(2, &[3, 1]));
    for (wrong, status) in [
        ("Offset=0&Limit=10", "400"),
        (window, "400"),
        (&all.replace("Offset=0", "Offset=-1"), "400"),
        (&format!("{all}&Sort=Nothing"), "400"),
        (&format!("{all}&Order=up"), "400"),
        (&all.replace("2026-05-28T09", "2026-09-05T08"), "422 FILE02"),
        (&all.replace("2026-05-28T09", "2026-05-27T09"), "422 FILE02"),
    ] {
        assert_eq!(ask(wrong).await.0, status, "{wrong}");
    }
}
