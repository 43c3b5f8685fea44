//! Any bytes as an answer: two of them give the status, one the number of events, the rest is the body.
#![no_main]

use conversion_outbox::destinations::Reply;

libfuzzer_sys::fuzz_target!(|data: (u16, u8, String, &[u8])| {
    let (status, sent, header, body) = data;
    let reply = Reply {
        status: 100 + status % 900,
        headers: vec![("retry-after".to_owned(), header)],
        body: body.to_vec(),
    };
    conversion_outbox::fuzz::reply(&reply, usize::from(sent % 4) + 1);
});
