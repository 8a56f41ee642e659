// SPDX-License-Identifier: Apache-2.0

package events

import (
	"strings"
	"testing"
)

func TestParseSubject(t *testing.T) {
	long := strings.Repeat("a", 64)
	for _, c := range []struct {
		subject string
		want    Address
		bad     string // part of the error
	}{
		{"ballast.tx1.meter.reading.feeder-a", Address{Prefix: "ballast", Site: "tx1", Source: "feeder-a", Type: TypeMeterReading}, ""},
		{"ballast.tx1.clock.tick.site", Address{Prefix: "ballast", Site: "tx1", Source: "site", Type: TypeClockTick}, ""},
		{"ballast.tx1.deadletter.host-1", Address{Prefix: "ballast", Site: "tx1", Source: "host-1", Type: TypeDeadLetter}, ""},
		{"ballast.tx1.command.broadcast", Address{Prefix: "ballast", Site: "tx1", Source: BroadcastSource, Type: TypeCommandCurtail}, ""},
		{"ballast.tx1.stored.command.broadcast", Address{Prefix: "ballast", Site: "tx1", Source: BroadcastSource, Type: TypeCommandCurtail, Stored: true}, ""},
		{"ballast.tx1.stored.command.ramp.rig-17", Address{Prefix: "ballast", Site: "tx1", Source: "rig-17", Type: TypeCommandRamp, Stored: true}, ""},
		{"ballast.tx1.journal.grid.signal.ercot", Address{Prefix: "ballast", Site: "tx1", Source: "ercot", Type: TypeGridSignal, Relayed: true}, ""},
		{"ballast.tx1.journal.opened.ctl-1", Address{Prefix: "ballast", Site: "tx1", Source: "ctl-1", Type: TypeJournalOpened}, ""},
		{"ballast.tx1.journal.journal.opened.ctl-1", Address{Prefix: "ballast", Site: "tx1", Source: "ctl-1", Type: TypeJournalOpened, Relayed: true}, ""},
		{long + "." + long + ".grid.signal." + long, Address{Prefix: long, Site: long, Source: long, Type: TypeGridSignal}, ""},
		// A site may be called like a token of ours.
		{"ballast.journal.meter.reading.journal", Address{Prefix: "ballast", Site: "journal", Source: "journal", Type: TypeMeterReading}, ""},
		{"ballast.stored.stored.command.curtail.stored", Address{Prefix: "ballast", Site: "stored", Source: "stored", Type: TypeCommandCurtail, Stored: true}, ""},

		{"", Address{}, "no site"},
		{"ballast", Address{}, "no site"},
		{"ballast.tx1", Address{}, "no type"},
		{"ballast.tx1.", Address{}, "no known event type"},
		{"ballast.tx1.meter.reading", Address{}, "no known event type"},
		{"ballast.tx1.meter.reading.", Address{}, "source is empty"},
		{"ballast.tx1.meter.readings.a", Address{}, "no known event type"},
		{"ballast.tx1.meter.reading.a.b", Address{}, "no known event type"},
		{"ballast.tx1.command.broadcast.a", Address{}, "no known event type"},
		{"ballast.tx1.journal.command.broadcast", Address{}, "no known event type"},
		{"Ballast.tx1.meter.reading.a", Address{}, "no token"},
		{"ballast..meter.reading.a", Address{}, "no token"},
		{".tx1.meter.reading.a", Address{}, "no token"},
		{"ballast.tx_1.meter.reading.a", Address{}, "no token"},
		{"ballast.*.meter.reading.a", Address{}, "no token"},
		{"ballast.tx1.meter.reading.>", Address{}, "use a-z, 0-9 and - only"},
		{"ballast.tx1.meter.reading.Ä", Address{}, "use a-z, 0-9 and - only"},
		{"ballast.tx1.meter.reading." + long + "a", Address{}, "at most 64"},
		{"$JS.API.meter.reading.a", Address{}, "no token"},
	} {
		got, err := ParseSubject(c.subject)
		if c.bad == "" && (err != nil || got != c.want) {
			t.Errorf("%q: %+v, %v", c.subject, got, err)
		}
		if c.bad != "" && (err == nil || !strings.Contains(err.Error(), c.bad) || got != (Address{})) {
			t.Errorf("%q: %+v, %v; want an error with %q", c.subject, got, err, c.bad)
		}
	}
}

func TestSubjectsOfEveryTypeParseBack(t *testing.T) {
	for _, info := range Types() {
		for _, c := range []struct {
			subject         string
			relayed, stored bool
		}{
			{Subject("p", "s", info.Type, "x"), false, false},
			{JournalSubject("p", "s", info.Type, "x"), true, false},
			{StoredSubject("p", "s", info.Type, "x"), false, true},
		} {
			want := Address{Prefix: "p", Site: "s", Source: "x", Type: info.Type, Relayed: c.relayed, Stored: c.stored}
			if got, err := ParseSubject(c.subject); err != nil || got != want {
				t.Errorf("%q: %+v, %v", c.subject, got, err)
			}
		}
	}
	if got, err := ParseSubject(BroadcastSubject("p", "s")); err != nil || got.Source != BroadcastSource {
		t.Errorf("broadcast: %+v, %v", got, err)
	}
}

// format writes the subject that an address stands for.
func format(a Address) string {
	middle := string(a.Type) + "." + a.Source
	if a.Source == BroadcastSource && a.Type == TypeCommandCurtail {
		middle = BroadcastType
	}
	switch {
	case a.Relayed:
		middle = JournalToken + "." + middle
	case a.Stored:
		middle = StoredToken + "." + middle
	}
	return a.Prefix + "." + a.Site + "." + middle
}

func FuzzParseSubject(f *testing.F) {
	for _, info := range Types() {
		f.Add(Subject("ballast", "tx1", info.Type, "x"))
		f.Add(JournalSubject("ballast", "tx1", info.Type, "x"))
		f.Add(StoredSubject("ballast", "tx1", info.Type, "x"))
	}
	f.Add("ballast.tx1.command.broadcast")
	f.Add("ballast.tx1.command.curtail.broadcast")
	f.Fuzz(func(t *testing.T, subject string) {
		a, err := ParseSubject(subject)
		if err != nil {
			if a != (Address{}) {
				t.Fatalf("%q: an address with an error", subject)
			}
			return
		}
		for what, token := range map[string]string{"prefix": a.Prefix, "site": a.Site, "source": a.Source} {
			if err := CheckToken(what, token); err != nil {
				t.Fatalf("%q: %v", subject, err)
			}
		}
		if back := format(a); back != subject && back != strings.Replace(subject, "command.curtail.broadcast", BroadcastType, 1) {
			t.Fatalf("%q came back as %q", subject, back)
		}
	})
}

func TestCheckToken(t *testing.T) {
	for _, ok := range []string{"a", "0", "-", "tx1", strings.Repeat("z", 64)} {
		if err := CheckToken("site", ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for bad, want := range map[string]string{
		"": "site is empty", strings.Repeat("z", 65): "at most 64", "A": "holds 'A'", "a.b": "holds '.'", "a b": "a-z, 0-9 and - only",
		"é": "only", "a_b": "only", "*": "only", ">": "only", "a\n": "only",
	} {
		if err := CheckToken("site", bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", bad, err, want)
		}
	}
}
