// SPDX-License-Identifier: Apache-2.0

package events

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 5, time.UTC)

func reading() *MeterReading {
	return &MeterReading{PowerWatts: 41_200_000, SampledAt: noon, Quality: QualityGood}
}

// rawHeader writes a header block as clients do.
func rawHeader(t *testing.T, h nats.Header) []byte {
	t.Helper()
	if len(h) == 0 {
		return nil
	}
	var b bytes.Buffer
	b.WriteString("NATS/1.0\r\n")
	for k, vs := range h {
		for _, v := range vs {
			b.WriteString(k + ": " + v + "\r\n")
		}
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

func TestEnvelopeRoundTrip(t *testing.T) {
	cause := New("tx1", "ercot", &GridSignal{Kind: SignalEmergency}).WithID("sig-1")
	full := New("tx1", "feeder-a", reading()).WithID("r-1").At(noon).CausedBy(cause)
	next := New("tx1", "feeder-a", reading()).CausedBy(full)
	if next.Causation != "r-1" || next.Correlation != "sig-1" {
		t.Errorf("chain: caused by %q, first %q", next.Causation, next.Correlation)
	}
	for _, e := range []*Event{full, next, New("tx1", "feeder-a", reading())} {
		m, err := Encode("ballast", e)
		if err != nil {
			t.Fatal(err)
		}
		if m.Subject != "ballast.tx1.meter.reading.feeder-a" {
			t.Errorf("subject %s", m.Subject)
		}
		if e.Dedup != (m.Header.Get(HeaderMsgID) == e.ID && e.ID != "") {
			t.Errorf("Dedup %v, %s %q", e.Dedup, HeaderMsgID, m.Header.Get(HeaderMsgID))
		}
		want := *e
		want.Dedup = false
		var d Decoder
		for name, decode := range map[string]func() (*Event, error){
			"Decode":    func() (*Event, error) { return Decode(m.Subject, m.Header, m.Data) },
			"Decoder":   func() (*Event, error) { return d.Decode(m.Subject, m.Header, m.Data) },
			"DecodeRaw": func() (*Event, error) { return d.DecodeRaw(m.Subject, rawHeader(t, m.Header), m.Data) },
		} {
			if got, err := decode(); err != nil || !reflect.DeepEqual(got, &want) {
				t.Errorf("%s: %+v, %v\nwant %+v", name, got, err, &want)
			}
		}
	}
}

func TestRelayedEnvelope(t *testing.T) {
	h := nats.Header{
		HeaderOrigin: {"INPUTS/17"}, HeaderOriginTime: {"2026-03-02T12:00:00.000000005Z"},
		HeaderMsgID: {"INPUTS/17"}, HeaderCEID: {"sig-1"},
	}
	subject := JournalSubject("ballast", "tx1", TypeGridSignal, "ercot")
	var d Decoder
	a, errA := Decode(subject, h, []byte(`{"kind":"emergency"}`))
	b, errB := d.DecodeRaw(subject, rawHeader(t, h), []byte(`{"kind":"emergency"}`))
	if errA != nil || errB != nil || !reflect.DeepEqual(a, b) {
		t.Fatalf("%+v, %v\n%+v, %v", a, errA, b, errB)
	}
	if a.ID != "sig-1" || a.OriginStream != "INPUTS" || a.OriginSequence != 17 || !a.OriginArrived.Equal(noon) {
		t.Errorf("%+v", a.Meta)
	}
}

func TestIDs(t *testing.T) {
	if id := DefaultID("INPUTS", 2, 17); id != "INPUTS:2:17" {
		t.Error(id)
	}
	// Without ce-id the server's own id is the id.
	e, err := Decode("ballast.tx1.clock.tick.site", nats.Header{HeaderMsgID: {"tx1/tick/7"}}, []byte(`{"second":7}`))
	if err != nil || e.ID != "tx1/tick/7" {
		t.Errorf("%+v, %v", e, err)
	}
	for _, ok := range []string{"a", "tx1/dispatch/2/81234/0", "with space", "ünïcode", strings.Repeat("é", 256)} {
		if err := CheckEventID(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{"", strings.Repeat("a", 257), "a\nb", "\x7f", "\xff"} {
		if CheckEventID(bad) == nil {
			t.Errorf("%q passed", bad)
		}
	}
}

func TestDecodeErrorSaysWhy(t *testing.T) {
	const reading = "ballast.tx1.meter.reading.feeder-a"
	good := `{"power_watts":1,"sampled_at":"2026-03-02T12:00:00Z","quality":"good"}`
	setpoint := `"units":[{"unit":"u","setpoint_watts":0}],"reason":"stop","issued_at":"2026-03-02T12:00:00Z","valid_until":"2026-03-02T12:00:00Z"}`
	key := `{"decider":"d","key":{"epoch":1,"sequence":1,"ordinal":0},`
	for _, c := range []struct {
		subject string
		header  nats.Header
		data    string
		reason  DeadReason // empty: no error
		says    string
	}{
		{reading, nil, good, "", ""},
		{reading, nil, strings.Replace(good, "2026", "1970", 1), "", ""},
		{"ballast.tx1.meter.reading", nil, good, DeadSubject, "no known event type"},
		{"ballast.tx1.grid.weather.x", nil, good, DeadSubject, "no known event type"},
		{reading, nil, ``, DeadUnreadable, "want an object"},
		{reading, nil, `{"power_watts":NaN}`, DeadUnreadable, "power_watts (byte 15): want an integer"},
		{reading, nil, `{"power_watts":1.5}`, DeadUnreadable, "without fraction"},
		{reading, nil, `{"power_watts":99999999999999999999}`, DeadUnreadable, "too large"},
		{reading, nil, `{"power_watts":"1"}`, DeadUnreadable, "want an integer"},
		{reading, nil, `{"sampled_at":"2026-03-02T12:00:00Z","quality":"good"}`, DeadUnreadable, "power_watts is missing"},
		{reading, nil, `{"power_watts":null,"sampled_at":"2026-03-02T12:00:00Z","quality":"good"}`, DeadUnreadable, "power_watts is missing"},
		{reading, nil, good + "x", DeadUnreadable, "bytes after the first value"},
		{reading, nil, `{"power_watts":1,"power_watts":2}`, DeadUnreadable, "is there twice"},
		{reading, nil, strings.Replace(good, "2026", "12026", 1), DeadUnreadable, "RFC 3339"},
		{reading, nil, strings.Replace(good, "2026", "0001", 1), DeadInvalid, "sampled_at"},
		{reading, nil, strings.Replace(good, `"power_watts":1`, `"power_watts":1000000000001`, 1), DeadInvalid, "power_watts: 1000000000001 is outside"},
		{reading, nil, strings.Replace(good, `"good"`, `"fine"`, 1), DeadInvalid, "quality"},
		{reading, nats.Header{HeaderCETime: {"today"}}, good, DeadInvalid, "header ce-time"},
		{reading, nats.Header{HeaderCEID: {strings.Repeat("x", 257)}}, good, DeadInvalid, "header ce-id"},
		{reading, nats.Header{HeaderOrigin: {"INPUTS"}}, good, DeadInvalid, "<stream>/<sequence>"},
		{"ballast.tx1.command.curtail.rig-1", nil, key + `"agent":"rig-1",` + setpoint, "", ""},
		{"ballast.tx1.command.curtail.rig-2", nil, key + `"agent":"rig-1",` + setpoint, DeadInvalid, "agent"},
		{"ballast.tx1.command.broadcast", nil, key + `"agent":"rig-1",` + setpoint, DeadInvalid, "all_units_watts"},
		{"ballast.tx1.command.curtail.rig-1", nil, key + `"all_units_watts":0,` + setpoint[len(`"units":[{"unit":"u","setpoint_watts":0}],`):], DeadInvalid, "all_units_watts"},
	} {
		var d Decoder
		for name, decode := range map[string]func() (*Event, error){
			"Decode":    func() (*Event, error) { return Decode(c.subject, c.header, []byte(c.data)) },
			"Decoder":   func() (*Event, error) { return d.Decode(c.subject, c.header, []byte(c.data)) },
			"DecodeRaw": func() (*Event, error) { return d.DecodeRaw(c.subject, rawHeader(t, c.header), []byte(c.data)) },
		} {
			e, err := decode()
			if c.reason == "" {
				if err != nil {
					t.Errorf("%s %s %s: %v", name, c.subject, c.data, err)
				}
				continue
			}
			var de *DecodeError
			if e != nil || !errors.As(err, &de) || de.Reason != c.reason || de.Subject != c.subject || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s %s %s: %v; want %s with %q", name, c.subject, c.data, err, c.reason, c.says)
			}
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, c := range []struct {
		e    *Event
		says string
	}{
		{&Event{Meta: Meta{Site: "tx1", Source: "a"}}, "no payload"},
		{New("TX1", "a", reading()), "site"},
		{New("tx1", "a.b", reading()), "source"},
		{New("tx1", "a", &MeterReading{SampledAt: noon}), "quality"},
		{New("tx1", "a", reading()).WithID("a\nb"), "ce-id"},
		{New("tx1", "a", reading()).At(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)), "ce-time"},
		{New("tx1", "rig-2", &CommandCurtail{Decider: "d", Agent: "rig-1", Units: []UnitSetpoint{{Unit: "u"}}, Reason: ReasonStop,
			IssuedAt: noon, ValidUntil: noon}), "agent"},
	} {
		if m, err := Encode("ballast", c.e); err == nil || m != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v; want %q", c.e, err, c.says)
		}
	}
}

func TestBroadcast(t *testing.T) {
	zero := int64(0)
	m, err := Encode("ballast", New("tx1", BroadcastSource, &CommandCurtail{Decider: "d", AllUnitsWatts: &zero, Reason: ReasonEmergency,
		IssuedAt: noon, ValidUntil: noon.Add(time.Second)}))
	if err != nil || m.Subject != "ballast.tx1.command.broadcast" {
		t.Fatalf("%+v, %v", m, err)
	}
	e, err := Decode(m.Subject, m.Header, m.Data)
	if err != nil || e.Source != BroadcastSource || *e.Data.(*CommandCurtail).AllUnitsWatts != 0 {
		t.Errorf("%+v, %v", e, err)
	}
}

// FuzzHeader holds the reader of raw header blocks against arbitrary bytes: it
// must not panic, and what both readers take they must take alike.
func FuzzHeader(f *testing.F) {
	f.Add([]byte(benchHeader))
	f.Add([]byte("NATS/1.0\r\nNats-Msg-Id: a\r\nce-id: b\r\nce-id: c\r\n\r\n"))
	f.Add([]byte("NATS/1.0 503 No responders\r\n\r\n"))
	f.Add([]byte("NATS/1.0\r\nce-id:\r\nNats-Msg-Id:x\r\n\r\n"))
	f.Add([]byte("NATS/1.0\r\n: x\r\n"))
	f.Fuzz(func(t *testing.T, block []byte) {
		var raw, plain Meta
		if readRawEnvelope(block, &raw) != nil {
			return
		}
		h := nats.Header{}
		lines := strings.Split(string(block), "\r\n")
		for _, line := range lines[1:] {
			if line == "" {
				break
			}
			k, v, _ := strings.Cut(line, ":")
			h[k] = append(h[k], strings.Trim(v, " \t"))
		}
		if len(lines) > 1 && lines[len(lines)-1] != "" {
			return // the last line does not end; clients refuse the block
		}
		if err := readEnvelope(h, &plain); err != nil || !reflect.DeepEqual(raw, plain) {
			t.Fatalf("%q:\n  raw %+v\nplain %+v, %v", block, raw, plain, err)
		}
	})
}

func TestClipText(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "short": "short", strings.Repeat("é", MaxText): strings.Repeat("é", MaxText),
		strings.Repeat("é", MaxText+1): strings.Repeat("é", MaxText-1) + "…", "a\xffb": "a�b",
	} {
		got := ClipText(in)
		if got != want {
			t.Errorf("%.20q… (%d bytes) became %.20q…", in, len(in), got)
		}
		if got != "" && (&AlertCleared{Alert: "a", Message: got}).Validate() != nil {
			t.Errorf("%.20q… is no text", got)
		}
	}
}
