//! What the receiver records, and how it misbehaves.

use std::time::{Duration, Instant};

use tms_e2e::receiver::{Behaviour, DRIP_BYTES, Receiver, Record};
use uuid::Uuid;

use crate::wire::{Wire, post};

const SOON: Duration = Duration::from_secs(10);

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// A receiver that behaves like this and has been sent one request.
fn asked(behaviour: Behaviour) -> (Receiver, Wire) {
    let receiver = Receiver::builder().behaviour(behaviour).start();
    let mut wire = Wire::to(&receiver);
    wire.post(id(1), "{}");
    (receiver, wire)
}

#[test]
fn it_records_in_order_of_arrival_and_counts_duplicates() {
    let receiver = Receiver::start();
    let mut wire = Wire::to(&receiver);
    for number in [3, 1, 2, 1] {
        wire.post(id(number), "{}");
        assert_eq!(wire.answer().unwrap().status, 200);
    }
    wire.send(b"GET /other HTTP/1.1\r\n\r\n");
    assert_eq!(wire.answer().unwrap().status, 200);
    assert_eq!(receiver.ids(), [3, 1, 2, 1].map(id));
    assert_eq!(
        (receiver.count(), receiver.distinct(), receiver.duplicates()),
        (5, 3, 1)
    );
    assert_eq!(receiver.per_id()[&id(1)], 2);
    let requests = receiver.requests();
    assert_eq!((requests[4].id, &*requests[4].path), (None, "/other"));
    assert!(requests.is_sorted_by_key(|request| request.at));
    receiver.wait_for("all answered", SOON, |seen| seen.in_flight() == 0);
    receiver.reset();
    assert_eq!(
        (receiver.count(), receiver.distinct(), receiver.ids().len()),
        (0, 0, 0)
    );
}

#[test]
fn a_full_record_has_method_headers_and_body() {
    let receiver = Receiver::builder().record(Record::Full).start();
    let mut wire = Wire::to(&receiver);
    wire.send(b"PUT /a?b=c HTTP/1.1\r\nX-Load: 7\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{\"a\": \r\n2\r\n1}\r\n0\r\n\r\n");
    wire.answer().unwrap();
    let request = receiver.requests().remove(0);
    assert_eq!(
        (&*request.method, &*request.path, request.header("x-load")),
        ("PUT", "/a?b=c", Some("7"))
    );
    assert_eq!(request.json()["a"], 1);
}

#[test]
fn pipelined_requests_are_answered_in_order_and_large_bodies_arrive_whole() {
    let receiver = Receiver::builder().record(Record::Full).start();
    let mut wire = Wire::to(&receiver);
    let large = "x".repeat(3 << 20);
    let bytes = [post(id(1), "a"), post(id(2), &large), post(id(3), "c")].concat();
    wire.send(&bytes);
    for _ in 0..3 {
        assert_eq!(wire.answer().unwrap().status, 200);
    }
    assert_eq!(receiver.ids(), [1, 2, 3].map(id));
    assert_eq!(receiver.requests()[1].body.len(), large.len());
}

#[test]
fn a_sender_that_waits_for_continue_gets_it() {
    let receiver = Receiver::start();
    let mut wire = Wire::to(&receiver);
    wire.send(b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n");
    assert_eq!(wire.answer().unwrap().status, 100);
    wire.send(b"ok");
    assert_eq!(wire.answer().unwrap().status, 200);
}

#[test]
fn a_status_carries_its_headers_and_the_behaviour_can_change_under_way() {
    let (receiver, mut wire) = asked(Behaviour::status_with(503, "retry-after", "7"));
    let answer = wire.answer().unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains(&"retry-after: 7".to_owned()));
    receiver.behave(Behaviour::Status(400, vec![], b"why".to_vec()));
    wire.post(id(2), "{}");
    let answer = wire.answer().unwrap();
    assert_eq!((answer.status, &answer.body[..]), (400, &b"why"[..]));
}

#[test]
fn a_choice_sees_the_request_and_may_ask_the_receiver() {
    let receiver = Receiver::builder().behaviour(Behaviour::choose(|request| match request.attempt {
        1 => Behaviour::status(500),
        _ if request.body == b"slow" => Behaviour::Delay(Duration::from_millis(1)),
        _ => Behaviour::Ok,
    }));
    let receiver = receiver.start();
    let mut wire = Wire::to(&receiver);
    for expected in [500, 200] {
        wire.post(id(1), "slow");
        assert_eq!(wire.answer().unwrap().status, expected);
    }
}

#[test]
fn a_delay_holds_up_its_own_connection_alone() {
    let delay = Duration::from_millis(300);
    let receiver = Receiver::builder().behaviour(Behaviour::Delay(delay)).start();
    let begin = Instant::now();
    let mut wires: Vec<Wire> = (0..250).map(|_| Wire::to(&receiver)).collect();
    for (number, wire) in wires.iter_mut().enumerate() {
        wire.post(id(number as u128), "{}");
    }
    receiver.wait_for("200 in flight at once", SOON, |seen| seen.max_in_flight() >= 200);
    for wire in &mut wires {
        assert_eq!(wire.answer().unwrap().status, 200);
    }
    assert!(begin.elapsed() >= delay);
    receiver.wait_for("none in flight", SOON, |seen| seen.in_flight() == 0);
    assert_eq!(receiver.distinct(), 250);
}

#[test]
fn who_hangs_is_in_flight_until_the_sender_gives_up() {
    let (receiver, wire) = asked(Behaviour::Hang);
    receiver.wait_for("one in flight", SOON, |seen| seen.in_flight() == 1);
    drop(wire);
    receiver.wait_for("none in flight", SOON, |seen| seen.in_flight() == 0);
    assert_eq!(receiver.count(), 1);
}

#[test]
fn a_sender_that_leaves_during_a_delay_is_no_longer_in_flight() {
    let (receiver, wire) = asked(Behaviour::Delay(Duration::from_secs(3_600)));
    receiver.wait_for("one in flight", SOON, |seen| seen.in_flight() == 1);
    drop(wire);
    receiver.wait_for("none in flight", SOON, |seen| seen.in_flight() == 0);
}

#[test]
fn close_ends_the_connection_without_a_byte() {
    let (receiver, mut wire) = asked(Behaviour::Close);
    assert!(wire.rest().is_empty());
    assert_eq!(receiver.count(), 1);
}

#[test]
fn close_mid_body_sends_less_than_it_announced() {
    let (_receiver, mut wire) = asked(Behaviour::CloseMidBody);
    let answer = wire.answer().unwrap();
    assert!(answer.headers.contains(&"content-length: 100".to_owned()));
    assert_eq!(answer.body, b"only this");
}

#[test]
fn a_dripping_body_is_in_flight_until_its_last_byte() {
    let (receiver, mut wire) = asked(Behaviour::DripBody(Duration::from_millis(2)));
    receiver.wait_for("the drip", SOON, |seen| seen.in_flight() == 1);
    assert_eq!(wire.answer().unwrap().body.len(), DRIP_BYTES);
    receiver.wait_for("its end", SOON, |seen| seen.in_flight() == 0);
    wire.post(id(2), "{}");
    assert_eq!(wire.answer().unwrap().status, 200);
}

#[test]
fn raw_bytes_are_sent_as_they_are() {
    let (_receiver, mut wire) = asked(Behaviour::Raw(b"SSH-2.0-surprise\r\n".to_vec()));
    assert_eq!(wire.rest(), b"SSH-2.0-surprise\r\n");
}

#[test]
fn what_is_not_http_is_refused_and_recorded_nowhere() {
    let receiver = Receiver::start();
    let mut wire = Wire::to(&receiver);
    wire.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    assert_eq!(wire.answer().unwrap().status, 400);
    assert_eq!(receiver.count(), 0);
}

#[test]
fn a_pause_refuses_new_connections_and_keeps_the_open_ones() {
    let receiver = Receiver::start();
    let mut wire = Wire::to(&receiver);
    wire.post(id(1), "{}");
    wire.answer().unwrap();
    receiver.pause_listening();
    assert!(Wire::try_to_port(receiver.port()).is_err());
    wire.post(id(2), "{}");
    assert_eq!(wire.answer().unwrap().status, 200);
    receiver.restart_on_same_port();
    Wire::to(&receiver).post(id(3), "{}");
    receiver.wait_for("the third", SOON, |seen| seen.distinct() == 3);
}

#[test]
fn a_stop_closes_everything_and_the_port_comes_back() {
    let receiver = Receiver::builder().behaviour(Behaviour::Hang).start();
    let mut wire = Wire::to(&receiver);
    for _ in 0..3 {
        wire.post(id(1), "{}");
        receiver.wait_for("one in flight", SOON, |seen| seen.in_flight() == 1);
        receiver.stop();
        assert_eq!(receiver.in_flight(), 0);
        assert!(wire.rest().is_empty());
        assert!(Wire::try_to_port(receiver.port()).is_err());
        receiver.restart_on_same_port();
        wire = Wire::to(&receiver);
    }
    receiver.behave(Behaviour::Ok);
    wire.post(id(9), "{}");
    assert_eq!(wire.answer().unwrap().status, 200);
}

#[test]
#[should_panic(expected = "a request: not within 10ms; last seen: Receiver")]
fn a_wait_in_vain_names_the_counters() {
    Receiver::start().wait_for("a request", Duration::from_millis(10), |seen| seen.count() > 0);
}
