// SPDX-License-Identifier: Apache-2.0

package events

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/nats-io/nats.go"
)

const benchReading = `{"power_watts":41200000,"energy_milliwatt_hours":918273645546,"sampled_at":"2026-03-02T18:04:05.250123Z","quality":"good"}`

const benchStatus = `{"boot_id":"6fJ2kQ9xP0aVbN3r","counter":4711,"units":[{"unit":"rig-17","state":"running","setpoint_watts":3500,"power_watts":3480,"hashrate_mhs":200123456,"hashes":"98765432109876543210","applied":{"epoch":2,"sequence":81234,"ordinal":0},"lease_milliseconds":11250,"healthy":true,"modelled":true,"power_modelled":true}]}`

// benchHeader is the header block as this package's publisher writes it.
const benchHeader = "NATS/1.0\r\nce-specversion: 1.0\r\nce-type: meter.reading\r\nce-source: tx1/feeder-a\r\n" +
	"content-type: application/json\r\nce-id: 6fJ2kQ9xP0aVbN3rT7Zy1\r\nce-time: 2026-03-02T18:04:05.251Z\r\n\r\n"

func benchHeaders() nats.Header {
	return nats.Header{
		HeaderCESpecVersion: {CESpecVersion}, HeaderCEType: {"meter.reading"}, HeaderCESource: {"tx1/feeder-a"},
		HeaderContentType: {ContentTypeJSON}, HeaderCEID: {"6fJ2kQ9xP0aVbN3rT7Zy1"}, HeaderCETime: {"2026-03-02T18:04:05.251Z"},
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct {
		name, subject, data string
	}{
		{"reading", "ballast.tx1.meter.reading.feeder-a", benchReading},
		{"status", "ballast.tx1.worker.status.rig-17", benchStatus},
		{"tick", "ballast.tx1.clock.tick.site", `{"second":1772474645}`},
	} {
		data, raw, headers := []byte(c.data), []byte(benchHeader), benchHeaders()
		b.Run(c.name+"/raw-header", func(b *testing.B) {
			d := Decoder{Reuse: true}
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := d.DecodeRaw(c.subject, raw, data); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/header-map", func(b *testing.B) {
			d := Decoder{Reuse: true}
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := d.Decode(c.subject, headers, data); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/fresh", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := Decode(c.subject, headers, data); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/encoding-json", func(b *testing.B) {
			a, err := ParseSubject(c.subject)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if err := json.Unmarshal(data, typeTable[typeIndex[a.Type]].New()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecodePlanned reads types without a reader of their own.
func BenchmarkDecodePlanned(b *testing.B) {
	for _, typ := range []Type{TypeGridSignal, TypeSiteConfig, TypeShareAccepted, TypeDispatchDecided} {
		var data bytes.Buffer
		if err := json.Compact(&data, examples(b, typ)[0]); err != nil {
			b.Fatal(err)
		}
		info, _ := Info(typ)
		b.Run(string(typ), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := UnmarshalPayload(data.Bytes(), info.New()); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(typ)+"/encoding-json", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := json.Unmarshal(data.Bytes(), info.New()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		typ  Type
		data string
	}{{TypeMeterReading, benchReading}, {TypeWorkerStatus, benchStatus}} {
		info, _ := Info(c.typ)
		p := info.New()
		if err := UnmarshalPayload([]byte(c.data), p); err != nil {
			b.Fatal(err)
		}
		b.Run(string(c.typ), func(b *testing.B) {
			var buf []byte
			var err error
			b.ReportAllocs()
			for b.Loop() {
				if buf, err = AppendPayload(buf[:0], p); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(c.typ)+"/encoding-json", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := json.Marshal(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
