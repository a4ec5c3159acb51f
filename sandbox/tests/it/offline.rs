//! What a till does that sends files: it opens its days by itself and writes header, content, footer.

use serde_json::{Value, json};

use crate::till::{Answer, Till};

impl Till {
    /// A new day, of which FDMS does not know yet.
    pub(crate) fn begin_day(&mut self, day_no: i64) {
        self.day_no = day_no;
        self.opened = self.now();
        self.counter = 0;
        self.last_hash = None;
        self.receipts.clear();
    }

    /// The next valid invoice, signed, for a file.
    pub(crate) fn sold(&mut self) -> Value {
        let mut receipt = self.invoice();
        self.sign(&mut receipt);
        self.goes_on_from(receipt.clone());
        receipt
    }

    /// A file of this day with these receipts.
    pub(crate) fn file(&self, sequence: i64, receipts: Vec<Value>) -> Value {
        json!({
            "header": {
                "deviceId": self.id,
                "fiscalDayNo": self.day_no,
                "fiscalDayOpened": self.opened.to_string(),
                "fileSequence": sequence,
            },
            "content": {"receipts": receipts},
        })
    }

    /// A file that only closes the day, rightly.
    pub(crate) fn footer_file(&self, sequence: i64) -> Value {
        let mut file = self.file(sequence, vec![]);
        file["content"] = json!(null);
        file["footer"] = self.footer();
        file
    }

    /// The footer that closes the day.
    pub(crate) fn footer(&self) -> Value {
        self.footer_with(self.counters())
    }

    /// A footer over these counters, rightly signed.
    pub(crate) fn footer_with(&self, counters: Vec<Value>) -> Value {
        let mut footer = self.close_message_with(counters);
        footer.as_object_mut().unwrap().remove("fiscalDayNo");
        footer["fiscalDayClosed"] = self.now().to_string().into();
        footer
    }

    /// The file's text, its parts in their order.
    pub(crate) fn text_of(&self, file: &Value) -> String {
        let parts = ["header", "content", "footer"];
        let parts = parts
            .iter()
            .filter_map(|part| Some((part, file.get(part)?)));
        let parts: Vec<String> = parts
            .map(|(part, value)| format!("\"{part}\": {value}"))
            .collect();
        format!("{{{}}}", parts.join(", "))
    }

    /// Sends a file as the authority's documents have it.
    pub(crate) async fn send_file(&self, file: &Value) -> Answer {
        self.send_text("text/plain", self.text_of(file)).await
    }

    /// Sends a body to SubmitFile.
    pub(crate) async fn send_text(&self, content_type: &str, body: String) -> Answer {
        let request = self.client.post(self.path("SubmitFile")).body(body);
        let request = self.with_headers(request.header("content-type", content_type));
        Answer::of(request.send().await.unwrap()).await
    }
}

/// The question for all the files of these days.
pub(crate) fn list_query(till: &Till) -> String {
    let (from, till) = (till.now().date(), till.now().date().tomorrow().unwrap());
    format!(
        "SubmittedFileList?Offset=0&Limit=100&FileUploadedFrom={from}T00:00:00&FileUploadedTill={till}T00:00:00"
    )
}
