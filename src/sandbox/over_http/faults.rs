//! Faults on the wire.

use super::*;

#[tokio::test]
async fn resets_close_the_connection_without_an_answer() {
    let sandbox = start().await;
    for (kind, stored) in [
        (FaultKind::ResetUnread, false),
        (FaultKind::ResetBefore, false),
        (FaultKind::ResetAfter, true),
    ] {
        sandbox.reset();
        sandbox.add_fault(fault(kind)).unwrap();
        let lost = raw(
            &sandbox,
            &http("POST", "/v26.0/77/events", &meta_body("o1")),
        )
        .await;
        assert_eq!(
            lost.unwrap_err().kind(),
            std::io::ErrorKind::ConnectionReset,
            "{kind:?}"
        );
        let expected = if stored {
            Verdict::Stored
        } else {
            Verdict::Fault
        };
        assert_eq!(verdicts(&sandbox), [expected], "{kind:?}");
        assert_eq!(
            sandbox.read(|ledger| ledger.rows().next().unwrap().status),
            None
        );
        let again = if stored {
            Verdict::WouldDouble
        } else {
            Verdict::Stored
        };
        assert_eq!(meta(&sandbox, "o1").await.0, 200);
        assert_eq!(verdicts(&sandbox), [expected, again], "{kind:?}");
    }
}

#[tokio::test]
async fn an_unread_reset_comes_before_the_body() {
    let sandbox = start().await;
    sandbox
        .add_fault(Fault {
            platform: Some(Platform::Ga4),
            ..fault(FaultKind::ResetUnread)
        })
        .unwrap();
    // The head promises a body that never comes: only a server that does not wait for it can answer.
    let head = "POST /mp/collect HTTP/1.1\r\nhost: sandbox\r\ncontent-length: 100\r\n\r\n";
    assert!(raw(&sandbox, head).await.is_err());
    assert_eq!(ga4(&sandbox, "o1").await, 204);
}

#[tokio::test]
async fn answering_faults_store_nothing() {
    let sandbox = start().await;
    let ask = async |fault: Fault| {
        sandbox.add_fault(fault).unwrap();
        meta(&sandbox, "o1").await
    };
    let (status, head, _) = ask(Fault {
        status: Some(503),
        retry_after: Some(7),
        ..fault(FaultKind::Status)
    })
    .await;
    assert!(status == 503 && head.contains("retry-after: 7"));
    let (status, head, _) = ask(fault(FaultKind::Html502)).await;
    assert!(status == 502 && head.contains("text/html"));
    let (status, _, body) = ask(Fault {
        code: Some(190),
        subcode: Some(463),
        ..fault(FaultKind::MetaError)
    })
    .await;
    assert_eq!(
        (status, &body["error"]["error_subcode"]),
        (401, &json!(463))
    );
    let (_, head, _) = ask(Fault {
        code: Some(613),
        ..fault(FaultKind::MetaError)
    })
    .await;
    assert!(head.contains("x-business-use-case-usage: {\"77\":"));
    assert_eq!(verdicts(&sandbox), [Verdict::Fault; 4]);
    assert_eq!(meta(&sandbox, "o1").await.0, 200);
    assert_eq!(verdicts(&sandbox)[4], Verdict::Stored);
}

#[tokio::test]
async fn changing_faults_store_and_change_the_answer() {
    let sandbox = start().await;
    sandbox.add_fault(fault(FaultKind::VersionWarning)).unwrap();
    sandbox.add_fault(fault(FaultKind::NoMessages)).unwrap();
    sandbox.add_fault(fault(FaultKind::FewerReceived)).unwrap();
    let (status, head, body) = meta(&sandbox, "o1").await;
    assert!(status == 200 && head.contains("x-ad-api-version-warning"));
    assert_eq!(
        (&body["events_received"], body.get("messages")),
        (&json!(0), None)
    );
    sandbox.add_fault(fault(FaultKind::Localised)).unwrap();
    let (_, _, body) = call(&sandbox, "POST", "/v26.0/77/events", &json!({"data": []})).await;
    assert_eq!(body["error"]["error_user_title"], "Paramètre non valide");
}

#[tokio::test]
async fn latency_delays_the_answer() {
    let sandbox = start().await;
    sandbox
        .add_fault(Fault {
            latency_ms: Some(30),
            ..fault(FaultKind::Latency)
        })
        .unwrap();
    let before = std::time::Instant::now();
    assert_eq!(ga4(&sandbox, "o1").await, 204);
    assert!(before.elapsed() >= Duration::from_millis(30));
}

#[tokio::test]
async fn a_held_request_waits_for_its_release() {
    let sandbox = start().await;
    let rule = sandbox
        .add_fault(Fault {
            event_id: Some("o1".to_owned()),
            ..Fault::of(FaultKind::HoldBefore)
        })
        .unwrap();
    let held = async { meta(&sandbox, "o1").await.0 };
    let barrier = async {
        sandbox.held(rule, 1).await;
        assert_eq!(meta(&sandbox, "o2").await.0, 200);
        assert_eq!(sandbox.read(|ledger| ledger.rows().len()), 1);
        assert!(sandbox.release(rule));
    };
    assert_eq!(tokio::join!(held, barrier).0, 200);
    assert_eq!(sandbox.struck(rule), Some(1));
    assert_eq!(meta(&sandbox, "o1").await.0, 200);

    let rule = sandbox.add_fault(Fault::of(FaultKind::HoldAfter)).unwrap();
    let held = async { meta(&sandbox, "o3").await.0 };
    let barrier = async {
        sandbox
            .wait_for(|ledger| {
                ledger
                    .of_event(Platform::Meta, "Purchase", "o3")
                    .next()
                    .is_some()
            })
            .await;
        sandbox.held(rule, 1).await;
        assert!(sandbox.remove_fault(rule));
    };
    assert_eq!(tokio::join!(held, barrier).0, 200);
}

#[tokio::test]
async fn a_client_that_gives_up_does_not_undo_the_event() {
    let sandbox = start().await;
    let rule = sandbox.add_fault(fault(FaultKind::HoldBefore)).unwrap();
    let mut stream = TcpStream::connect(sandbox.addr()).await.unwrap();
    stream
        .write_all(http("POST", "/v26.0/77/events", &meta_body("o1")).as_bytes())
        .await
        .unwrap();
    sandbox.held(rule, 1).await;
    drop(stream);
    sandbox.release(rule);
    sandbox
        .wait_for(|ledger| ledger.count(Platform::Meta, Verdict::Stored) == 1)
        .await;
}
