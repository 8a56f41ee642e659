// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/schemas"
)

// garbage is one message that nobody can use.
type garbage struct {
	what, subject string
	header        nats.Header
	data          []byte
	// reasons of which the letter must give one; none means that no letter is
	// due.
	reasons []events.DeadReason
}

var (
	unusable = []events.DeadReason{events.DeadUnreadable, events.DeadInvalid}
	dated    = nats.Header{events.HeaderCETime: {"1970-01-01T00:00:00Z"}}
	// number is the first number of a payload.
	number = regexp.MustCompile(`(:\s*)-?[0-9]+(\s*[,}\]])`)
)

// example is a valid payload of a type, from its schema.
func example(t *testing.T, typ events.Type) []byte {
	t.Helper()
	text, err := schemas.Schema(string(typ))
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Examples []json.RawMessage `json:"examples"`
	}
	if err := json.Unmarshal(text, &s); err != nil || len(s.Examples) == 0 {
		t.Fatalf("schema of %s: %v, %d examples", typ, err, len(s.Examples))
	}
	var b bytes.Buffer
	if err := json.Compact(&b, s.Examples[0]); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// garbageOf is every kind of garbage for one type, each from a source of its
// own, so that none of it counts as a flood.
func garbageOf(t *testing.T, typ events.Type, limit int) []garbage {
	t.Helper()
	info, _ := events.Info(typ)
	good := example(t, typ)
	other := example(t, events.TypeClockTick)
	if typ == events.TypeClockTick {
		other = example(t, events.TypeMeterReading)
	}
	put := func(value string) []byte {
		at := number.FindSubmatchIndex(good)
		if at == nil {
			return nil
		}
		return slices.Concat(good[:at[3]], []byte(value), good[at[4]:])
	}
	binary := make([]byte, 256)
	for i := range binary {
		binary[i] = byte(i)
	}
	var out []garbage
	n := 0
	var named struct {
		Agent      string `json:"agent"`
		Controller string `json:"controller"`
	}
	_ = json.Unmarshal(good, &named) // the example is valid
	source := "garbage"
	switch typ { // or the subject would be wrong, too
	case events.TypeCommandCurtail, events.TypeCommandRamp:
		source = named.Agent
	case events.TypeCommandOutlet:
		source = named.Controller
	}
	add := func(what string, data []byte, h nats.Header, reasons ...events.DeadReason) {
		n++
		out = append(out, garbage{what, events.Subject(events.DefaultPrefix, faultSiteID, typ, fmt.Sprintf("garbage-%d", n)), h, data, reasons})
	}
	add("empty", nil, nil, unusable...)
	add("cut in the middle", good[:len(good)/2], nil, unusable...)
	add("binary", binary, nil, unusable...)
	add("another type", other, nil, unusable...)
	add("no field", []byte(`{}`), nil, unusable...)
	add("an array", []byte(`[`+string(good)+`]`), nil, unusable...)
	add("twice", append(append([]byte{}, good...), good...), nil, unusable...)
	add("as large as the server takes", bytes.Repeat([]byte("x"), limit), nil, unusable...)
	for what, value := range map[string]string{"NaN": "NaN", "a huge number": "1e300", "an integer beyond exactness": "90071992547409930", "a negative number": "-1", "a fraction": "0.5"} {
		if data := put(value); data != nil && schemas.Validate(string(typ), data) != nil {
			add(what, data, nil, unusable...)
		}
	}
	// What deciders say carries the time of its cause, however old.
	if info.Stream != events.StreamCommands && info.Stream != events.StreamRevenue {
		add("of the year 1970", good, dated, events.DeadTooOld)
	}
	out = append(out,
		garbage{"a bad source token", events.Subject(events.DefaultPrefix, faultSiteID, typ, "BAD_$"), nil, good, []events.DeadReason{events.DeadSubject}},
		garbage{"a bad site token", events.Subject(events.DefaultPrefix, "TX1", typ, "garbage"), nil, good, []events.DeadReason{events.DeadSubject}},
		garbage{"an unknown site", events.Subject(events.DefaultPrefix, "nowhere-"+strings.ReplaceAll(string(typ), ".", "-"), typ, source), nil, good, []events.DeadReason{events.DeadUnknownSite}},
	)
	if info.Relayed {
		out = append(out, garbage{"a copy of nothing", events.JournalSubject(events.DefaultPrefix, faultSiteID, typ, "garbage"), nil, good, unusable})
	}
	return out
}

// Garbage on every subject: each piece gets one dead letter with the reason,
// nothing stalls, and no power rises for it.
func TestFaultGarbageOnEverySubject(t *testing.T) {
	s := newFaultSite(t, faultOptions{})
	s.role("dispatcher", "a")
	s.role("dispatcher", "b")
	s.role("pool", "pool")
	s.running(s.calm(900_000))
	m, _ := s.machines("fleet-1", 50)
	// A curtailment below the headroom is in force: garbage that gets through
	// would lift it, or the headroom.
	const ceiling = 60_000
	to := int64(ceiling)
	s.publish(t.Context(), events.New(faultSiteID, "ercot", &events.GridSignal{SignalID: "hold", Kind: events.SignalCurtail, PowerWatts: &to, DurationSeconds: 3600}).WithID("tx1/hold"))
	until(t, patience, "the machines run as far as they may", func() bool { w := m.permitted(); return w > ceiling-3500 && w <= ceiling })
	began := time.Now()

	var all []garbage
	for _, info := range events.Types() {
		if info.Type == events.TypeSiteConfig {
			continue // below: an unknown site becomes known by it
		}
		all = append(all, garbageOf(t, info.Type, bus.DefaultMaxPayload)...)
	}
	for _, g := range garbageOf(t, events.TypeSiteConfig, bus.DefaultMaxPayload) {
		if g.what != "an unknown site" {
			all = append(all, g)
		}
	}
	now := time.Now().UTC().Format(time.RFC3339Nano)
	zero := `{"power_watts":0,"sampled_at":"` + now + `","quality":"good"}`
	subject := func(typ events.Type, source string) string {
		return events.Subject(events.DefaultPrefix, faultSiteID, typ, source)
	}
	all = append(all,
		garbage{"a broadcast", events.BroadcastSubject(events.DefaultPrefix, faultSiteID), nil, []byte(`{"all_units_watts":1e9}`), unusable},
		// From the very sources that are believed.
		garbage{"a reading of 1970", subject(events.TypeMeterReading, "ai-feeder"), nil, []byte(strings.Replace(zero, now, "1970-01-01T00:00:00Z", 1)), []events.DeadReason{events.DeadTooOld}},
		garbage{"a reading dated 1970 by its envelope", subject(events.TypeMeterReading, "ai-feeder"), dated, []byte(zero), []events.DeadReason{events.DeadTooOld}},
		garbage{"a reading below anything", subject(events.TypeMeterReading, "ai-feeder"), nil, []byte(strings.Replace(zero, ":0,", ":-500000,", 1)), nil},
		garbage{"a reading above anything", subject(events.TypeMeterReading, "mining-1"), nil, []byte(strings.Replace(zero, ":0,", ":900000000000,", 1)), nil},
		garbage{"a reading of all the world's power", subject(events.TypeMeterReading, "mining-1"), nil, []byte(strings.Replace(zero, ":0,", ":9007199254740991,", 1)), unusable},
		garbage{"a reading that says itself that it is bad", subject(events.TypeMeterReading, "ai-feeder"), nil, []byte(strings.Replace(zero, "good", "bad", 1)), nil},
		garbage{"a reading of splendid quality", subject(events.TypeMeterReading, "ai-feeder"), nil, []byte(strings.Replace(zero, "good", "splendid", 1)), unusable},
		garbage{"a signal that ends the curtailment, of 1970", subject(events.TypeGridSignal, "ercot"), dated, []byte(`{"kind":"restore","cancels":"hold"}`), []events.DeadReason{events.DeadTooOld}},
		garbage{"a ramp that nobody decided", subject(events.TypeCommandRamp, "fleet-1"), nil, []byte(`{"decider":"dispatch","units":[{"unit":"fleet-1-0001","setpoint_watts":1e9}]}`), unusable},
		garbage{"a status of the agent that says nothing", subject(events.TypeWorkerStatus, "fleet-1"), nil, []byte(`{"boot_id":"x","counter":-1,"units":null}`), unusable},
	)
	due := map[string]garbage{}
	for _, g := range all {
		if a, err := events.ParseSubject(g.subject); err == nil {
			if info, _ := events.Info(a.Type); info.Stream == "" {
				// Nobody stores it: the agents hear it, and go on.
				if err := s.b.Conn().PublishMsg(&nats.Msg{Subject: events.Subject(events.DefaultPrefix, faultSiteID, a.Type, "fleet-1"), Header: g.header, Data: g.data}); err != nil {
					t.Fatal(err)
				}
				continue
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		ack, err := s.b.JetStream().PublishMsg(ctx, &nats.Msg{Subject: g.subject, Header: g.header, Data: g.data})
		cancel()
		if err != nil {
			if strings.Contains(g.subject, string(events.TypePermitRenewed)) {
				continue // no stream takes it
			}
			t.Fatalf("%s on %s: %v", g.what, g.subject, err)
		}
		if ack.Stream != events.StreamDeadLetter { // who would write letters about letters
			due[fmt.Sprintf("%s/%d", ack.Stream, ack.Sequence)] = g
		}
	}
	t.Logf("%d pieces of garbage in %v", len(due), time.Since(began))

	// Nothing stalls: facts behind the garbage are decided as ever.
	lower := int64(30_000)
	sent := time.Now()
	s.publish(t.Context(), events.New(faultSiteID, "ercot", &events.GridSignal{SignalID: "lower", Kind: events.SignalCurtail, PowerWatts: &lower, DurationSeconds: 3600}).WithID("tx1/lower"))
	until(t, patience, "a signal behind the garbage is obeyed", func() bool { return m.permitted() <= lower })
	t.Logf("a signal behind the garbage was obeyed after %v", time.Since(sent))

	var have map[string][]events.Of[events.DeadLetter]
	wanted := 0
	for _, g := range due {
		if len(g.reasons) > 0 {
			wanted++
		}
	}
	complete := func() bool { have = s.letters(); return len(have) >= wanted }
	for end := time.Now().Add(patience); !complete() && time.Now().Before(end); {
		<-time.After(200 * time.Millisecond)
	}
	s.quiet(2 * time.Second) // for letters too many
	have = s.letters()
	for at, g := range due {
		letters := have[at]
		switch {
		case len(g.reasons) == 0 && len(letters) == 0:
		case len(letters) != 1:
			t.Errorf("%s on %s (%s) has %d letters: %s", g.what, g.subject, at, len(letters), letterIDs(letters))
		case !slices.Contains(g.reasons, letters[0].Data.Reason):
			t.Errorf("%s on %s (%s): the letter says %s (%s), want %v", g.what, g.subject, at, letters[0].Data.Reason, letters[0].Data.Detail, g.reasons)
		case letters[0].Data.Detail == "":
			t.Errorf("%s on %s (%s): the letter gives no detail", g.what, g.subject, at)
		case !bytes.HasPrefix(g.data, letters[0].Data.Payload), letters[0].Data.Truncated != (len(letters[0].Data.Payload) < len(g.data)):
			t.Errorf("%s on %s (%s): the letter keeps another payload of %d bytes, truncated %v", g.what, g.subject, at, len(letters[0].Data.Payload), letters[0].Data.Truncated)
		}
	}
	for at, letters := range have {
		if _, ok := due[at]; !ok {
			t.Errorf("a letter about %s, which was no garbage: %+v", at, letters[0].Data)
		}
	}
	for _, o := range m.since(began) {
		if o.watts > 3500 || o.watts < 0 {
			t.Errorf("machine %d was set to %d W", o.unit, o.watts)
		}
	}
	s.neverAbove(began, ceiling)
	s.uninterrupted(began, time.Now())
	s.identical(2 * time.Second)
}

// What is dated impossibly raises nothing, however plausible the rest of it is
// and however often it comes: readings of no load, the end of a curtailment, a
// larger limit, another version of the decider.
func TestFaultImpossibleDatesRaiseNothing(t *testing.T) {
	s := newFaultSite(t, faultOptions{})
	s.role("dispatcher", "a")
	s.running(s.calm(900_000))
	m, _ := s.machines("fleet-1", 50)
	const ceiling = 60_000
	to := int64(ceiling)
	s.publish(t.Context(), events.New(faultSiteID, "ercot", &events.GridSignal{SignalID: "hold", Kind: events.SignalCurtail, PowerWatts: &to, DurationSeconds: 3600}).WithID("tx1/hold"))
	until(t, patience, "the machines run as far as they may", func() bool { w := m.permitted(); return w > ceiling-3500 && w <= ceiling })
	began := time.Now()

	old := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	config := last[events.SiteConfig](s, time.Time{}).Data
	config.LimitWatts, config.AINameplateWatts = 3_000_000, 0
	s.publish(t.Context(), events.New(faultSiteID, "ercot", &events.GridSignal{Kind: events.SignalRestore, Cancels: "hold"}).At(old).WithID("old/1"))
	s.publish(t.Context(), events.New(faultSiteID, "ercot", &events.GridSignal{SignalID: "soft", Kind: events.SignalCurtail, Supersedes: "hold", PowerWatts: &config.LimitWatts}).At(old).WithID("old/2"))
	s.publish(t.Context(), events.New(faultSiteID, events.OperatorSource, &config).At(old).WithID("old/3"))
	s.publish(t.Context(), events.New(faultSiteID, "dispatch", &events.DeciderActivated{Decider: "dispatch", Version: "0", ConfigHash: "0000000000000000", ActivatedBy: "nobody"}).At(old).WithID("old/4"))
	// Ten readings of no load between two of the true one, for several ticks.
	s.running(func(ctx context.Context) {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			r := &events.MeterReading{SampledAt: time.Now().UTC(), Quality: events.QualityGood}
			e := events.New(faultSiteID, "ai-feeder", r).At(old)
			if n%2 == 0 {
				e.Time, r.SampledAt = r.SampledAt, old
			}
			msg, err := events.Encode(s.b.Prefix(), e)
			if err != nil {
				t.Error(err)
				return
			}
			_ = s.b.Conn().PublishMsg(msg) // a meter does not wait for the bus
		}
	})
	for range 5 {
		next(s, "the clock goes on", func(events.Of[events.ClockTick]) bool { return true })
		if w := m.permitted(); w > ceiling {
			t.Errorf("%d W are permitted, at most %d may be", w, ceiling)
		}
	}
	s.neverAbove(began, ceiling)
	// The version that speaks still does, and a reduction is obeyed whatever
	// the clock of its sender says.
	zero := int64(0)
	s.publish(t.Context(), events.New(faultSiteID, "ercot", &events.GridSignal{SignalID: "off", Kind: events.SignalCurtail, PowerWatts: &zero, DurationSeconds: 3600}).At(old).WithID("old/5"))
	until(t, patience, "a reduction of 1970 is obeyed", func() bool { return m.permitted() == 0 })
	s.uninterrupted(began, time.Now())
	s.quiet(3 * time.Second)
	s.identical(2 * time.Second)
}

func letterIDs(letters []events.Of[events.DeadLetter]) []string {
	var out []string
	for _, l := range letters {
		out = append(out, fmt.Sprintf("%s (%s: %s)", l.ID, l.Data.Reason, l.Data.Detail))
	}
	return out
}

// letters are the dead letters by stream and sequence of their originals.
func (s *faultSite) letters() map[string][]events.Of[events.DeadLetter] {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	out := map[string][]events.Of[events.DeadLetter]{}
	for e, err := range events.Read[events.DeadLetter](ctx, s.b) {
		var bad *events.DecodeError
		if errors.As(err, &bad) {
			continue // garbage among the letters
		}
		if err != nil {
			s.t.Fatal(err)
		}
		if e.Source == "garbage" || strings.HasPrefix(e.Source, "garbage-") {
			continue // a forged letter
		}
		k := fmt.Sprintf("%s/%d", e.Data.Stream, e.Data.Sequence)
		out[k] = append(out[k], e)
	}
	return out
}

// neverAbove fails the test if more was ever permitted since then.
func (s *faultSite) neverAbove(from time.Time, watts int64) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	for e, err := range events.Read[events.DispatchDecided](ctx, s.b, events.AtSite(faultSiteID), events.BySource("dispatch"), events.Since(from)) {
		if err != nil {
			continue // garbage
		}
		if e.Data.PermittedAfterWatts > watts {
			s.t.Errorf("%d W were permitted by COMMANDS/%d, at most %d may be: %+v", e.Data.PermittedAfterWatts, e.Sequence, watts, e.Data)
		}
	}
}

// One sender floods the bus with garbage: few letters, one alert, and the site
// goes on as if nothing were.
func TestFaultGarbageFlood(t *testing.T) {
	const flood = 20_000
	s := newFaultSite(t, faultOptions{})
	s.role("dispatcher", "a")
	s.role("dispatcher", "b")
	s.running(s.calm(700_000))
	m, _ := s.machines("fleet-1", 20)
	until(t, patience, "all machines run", func() bool { return m.permitted() == 20*3500 })
	began := time.Now()
	flooding := s.connect("flooder")
	done := make(chan struct{})
	s.running(func(ctx context.Context) {
		defer close(done)
		subject := events.Subject(events.DefaultPrefix, faultSiteID, events.TypeMeterReading, "broken-meter")
		for n := 0; n < flood && ctx.Err() == nil; {
			var msgs []*nats.Msg
			for range 500 {
				msgs = append(msgs, &nats.Msg{Subject: subject, Data: []byte(`{"power_watts":`)})
				n++
			}
			if _, err := flooding.PublishMsgs(ctx, msgs...); err != nil && ctx.Err() == nil && !errors.Is(err, bus.ErrOutcomeUnknown) {
				t.Errorf("flood: %v", err)
				return
			}
		}
	})
	// A signal in the middle of it is obeyed at once, and its end too.
	to, sent := int64(0), time.Now()
	s.publish(t.Context(), events.New(faultSiteID, "ercot", &events.GridSignal{SignalID: "off", Kind: events.SignalCurtail, PowerWatts: &to, DurationSeconds: 3}).WithID("tx1/off"))
	until(t, patience, "a signal in the flood is obeyed", func() bool { return m.permitted() == 0 })
	t.Logf("a signal in the flood was obeyed after %v", time.Since(sent))
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the flood does not end")
	}
	until(t, patience, "all machines run again", func() bool { return m.permitted() == 20*3500 })
	// A letter about another sender's garbage: the inspectors are through.
	if err := s.b.Conn().Publish(events.Subject(events.DefaultPrefix, faultSiteID, events.TypeMeterReading, "other-meter"), []byte(`{`)); err != nil {
		t.Fatal(err)
	}
	letters := func() (broken, other int) {
		for _, l := range s.letters() {
			for _, e := range l {
				if strings.HasSuffix(e.Data.Subject, ".broken-meter") {
					broken++
				} else {
					other++
				}
			}
		}
		return broken, other
	}
	until(t, patience, "the letter about another sender", func() bool { _, other := letters(); return other > 0 })
	s.quiet(2 * time.Second)
	// Each minute has its letters.
	minutes := 1 + int(time.Now().Truncate(time.Minute).Sub(began.Truncate(time.Minute))/time.Minute)
	if broken, other := letters(); broken < 1 || broken > 20*minutes || other != 1 {
		t.Errorf("%d letters about the flood and %d about the other sender; want up to 20 in each of %d minutes and 1", broken, other, minutes)
	}
	alerts := map[string]int{}
	for e, err := range events.Read[events.AlertRaised](t.Context(), s.b, events.AtSite(faultSiteID), events.Since(began)) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(e.Data.Alert, "broken-meter") {
			alerts[e.ID]++
		}
	}
	if len(alerts) != 1 {
		t.Errorf("alerts about the flood: %v; want one", alerts)
	}
	s.uninterrupted(began, time.Now())
	s.identical(2 * time.Second)
	s.whole()
}

// What is larger than the server takes is refused, and the sender sees why:
// through our publisher, through the client library, and on the wire.
func TestFaultTooLargeIsRefused(t *testing.T) {
	const limit = 32 << 10
	s := newFaultSite(t, faultOptions{payload: limit})
	large := bytes.Repeat([]byte("x"), limit+1)
	subject := events.Subject(events.DefaultPrefix, faultSiteID, events.TypeMeterReading, "m")

	if err := s.b.Conn().Publish(subject, large); !errors.Is(err, nats.ErrMaxPayload) {
		t.Errorf("the client library says %v", err)
	}
	signal := &events.GridSignal{Kind: events.SignalEmergency, DurationSeconds: 1}
	units := make([]events.UnitStatus, 500)
	for i := range units {
		units[i] = events.UnitStatus{Unit: fmt.Sprintf("rig-%d", i), State: events.PermitBoot, Healthy: true}
	}
	status := &events.WorkerStatus{BootID: "b", Counter: 1, Units: units}
	err := s.b.Publish(t.Context(), events.New(faultSiteID, "rig", status), events.New(faultSiteID, "ercot", signal))
	if err == nil || !strings.Contains(err.Error(), "worker.status") || !strings.Contains(err.Error(), fmt.Sprint(limit)) {
		t.Errorf("our publisher says %v; want what is too large and for which limit", err)
	}
	if last, _ := s.journalState(); last != 0 {
		t.Errorf("something was stored: JOURNAL ends at %d", last)
	}

	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPUB %s %d\r\n", subject, len(large))
	var answer []byte
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		answer = append(answer, buf[:n]...)
		if err != nil || bytes.Contains(answer, []byte("Maximum Payload")) {
			break
		}
	}
	if !bytes.Contains(answer, []byte("-ERR 'Maximum Payload Violation'")) {
		t.Errorf("the server says %q", answer)
	}
}
