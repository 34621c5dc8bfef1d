//! The frames of a server that every official SDK decodes, byte for byte.

use bytes::BytesMut;

use super::super::*;
use super::hex;
use crate::model::value::{Described, Symbol, Timestamp, Value};

#[test]
fn frames_are_written_as_the_golden_frames() {
    use crate::amqp::performatives as perf;
    let put = |kind, channel, write: &dyn Fn(&mut BytesMut)| {
        let mut out = BytesMut::new();
        frame::put(&mut out, kind, channel, write);
        out.freeze()
    };
    let amqp = |channel, write: &dyn Fn(&mut BytesMut)| put(frame::Kind::Amqp, channel, write);
    let sasl = |write: &dyn Fn(&mut BytesMut)| put(frame::Kind::Sasl, 0, write);

    let mechanisms = ["MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"].map(Symbol::from_static);
    assert_eq!(
        sasl(&|out| perf::put_sasl_mechanisms(out, &mechanisms)),
        hex(
            "0000003902010000005340c02c01f00000002600000004a3074d53534243425305504c41494e09414e4f4e594d4f55530845585445524e414c"
        )
    );
    assert_eq!(sasl(&|out| perf::put_sasl_outcome(out, 0)), hex("0000001102010000005344c00402500040"));
    let open = Open {
        container_id: "gw_G1".into(),
        max_frame_size: 65_536,
        channel_max: 4_999,
        idle_timeout: Some(240_000),
        ..Open::default()
    };
    assert_eq!(
        amqp(0, &|out| perf::put_open(out, &open)),
        hex("0000002802000000005310c01b0aa10567775f4731407000010000601387700003a9804040404040")
    );
    let begin = perf::Begin {
        remote_channel: Some(1),
        next_outgoing_id: 1,
        incoming_window: 5000,
        outgoing_window: 5000,
        handle_max: 255,
    };
    assert_eq!(
        amqp(1, &|out| perf::put_begin(out, &begin)),
        hex("0000002802000001005311c01b0860000170000000017000001388700000138870000000ff404040")
    );
    let filter = Value::Described(Box::new(Described {
        descriptor: Value::Ulong(0x0000_468c_0000_0004),
        value: Value::from("amqp.annotation.x-opt-offset > '-1'"),
    }));
    let to_consumer = Attach {
        snd_settle_mode: Some(1),
        rcv_settle_mode: Some(0),
        source: Some(Source {
            address: Some("hub/ConsumerGroups/$Default/Partitions/0".into()),
            filter: vec![("apache.org:selector-filter:string".into(), filter)],
        }),
        target: Some(Target::at("t1")),
        max_message_size: Some(1 << 20),
        ..Attach::new("L1", Role::Sender)
    };
    assert_eq!(
        amqp(1, &|out| perf::put_attach(out, 0, &to_consumer)),
        hex(
            "000000d302000001005312d0000000c30000000ea1024c3170000000004250015000005328c0890ba1286875622f436f6e73756d657247726f7570732f2444656661756c742f506172746974696f6e732f30404040404040c15302a3216170616368652e6f72673a73656c6563746f722d66696c7465723a737472696e6700800000468c00000004a123616d71702e616e6e6f746174696f6e2e782d6f70742d6f6666736574203e20272d3127404040005329c00b07a102743140404040404040407000000000800000000000100000404040"
        )
    );
    let to_producer = Attach {
        snd_settle_mode: Some(0),
        rcv_settle_mode: Some(0),
        source: Some(Source::at("c1")),
        target: Some(Target::at("hub")),
        max_message_size: Some(1 << 20),
        ..Attach::new("L2", Role::Receiver)
    };
    assert_eq!(
        amqp(1, &|out| perf::put_attach(out, 1, &to_producer)),
        hex(
            "0000005602000001005312d0000000460000000ea1024c3270000000014150005000005328c00f0ba102633140404040404040404040005329c00c07a103687562404040404040404040800000000000100000404040"
        )
    );
    let flow = perf::Flow {
        next_incoming_id: Some(0),
        incoming_window: 5000,
        next_outgoing_id: 1,
        outgoing_window: 5000,
        link: Some(perf::LinkFlow { handle: 1, delivery_count: Some(0), link_credit: 300, drain: false }),
        echo: false,
    };
    assert_eq!(
        amqp(1, &|out| perf::put_flow(out, &flow)),
        hex(
            "0000003502000001005313c0280b700000000070000013887000000001700000138870000000017000000000700000012c40424240"
        )
    );
    let accepted = perf::Disposition {
        role: Role::Receiver,
        first: 0,
        last: 0,
        settled: true,
        outcome: Some(Outcome::Accepted),
    };
    assert_eq!(
        amqp(1, &|out| perf::put_disposition(out, &accepted)),
        hex("0000001d02000001005315c010064170000000004041005324c0010040")
    );
    let stolen = AmqpError::new("amqp:link:stolen", "x");
    assert_eq!(
        amqp(1, &|out| perf::put_detach(out, 3, true, Some(&stolen))),
        hex(
            "0000003002000001005316c0230370000000034100531dc01703a310616d71703a6c696e6b3a73746f6c656ea1017840"
        )
    );
    let golden = hex(
        "000000b902000001005314c01d0b70000000037000000000a00400000001700000000041424040404041005372c1830aa31b782d6f70742d73657175656e63652d6e756d6265722d65706f636854ffa315782d6f70742d73657175656e63652d6e756d6265725507a30c782d6f70742d6f6666736574a103343438a313782d6f70742d656e7175657565642d74696d65830000019b76daa800a313782d6f70742d706172746974696f6e2d6b6579a1026b31005375a0026869",
    );
    let mut event = BytesMut::new();
    let head = frame::TransferHead {
        channel: 1,
        handle: 3,
        delivery_id: 0,
        message_format: 0,
        settled: true,
        more: false,
        payload: golden.len() - frame::TRANSFER_HEAD,
    };
    frame::put_transfer(&mut event, &head);
    // The golden delivery-tag is 1 where ours is the delivery-id.
    event[29] = 1;
    message::put_message_annotations(
        &mut event,
        &[
            ("x-opt-sequence-number-epoch".into(), Value::Int(-1)),
            ("x-opt-sequence-number".into(), Value::Long(7)),
            ("x-opt-offset".into(), Value::from("448")),
            ("x-opt-enqueued-time".into(), Value::Timestamp(Timestamp::from_millis(1_767_225_600_000))),
            ("x-opt-partition-key".into(), Value::from("k1")),
        ],
    );
    message::put_data(&mut event, b"hi");
    assert_eq!(event.freeze(), golden);
}
