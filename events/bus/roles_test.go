// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
)

// secured is a bus that asks credentials, on a port of its own.
func secured(t testing.TB) *Bus {
	t.Helper()
	c := testConfig(t)
	c.Listen, c.Secure = "127.0.0.1:0", true
	return openTest(t, c)
}

// mint makes a token for g on b.
func mint(t testing.TB, b *Bus, g Grant) Token {
	t.Helper()
	g.Servers = []string{b.ClientURL()}
	tok, err := b.Authority().Mint(g)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// joined is a connection with a token for g.
func joined(t testing.TB, b *Bus, g Grant) *Bus {
	t.Helper()
	w, err := Open(testContext(t), Config{Name: g.ID, Credentials: Credentials{JoinToken: mint(t, b, g).String()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeTest(t, w) })
	return w
}

// grants of the matrix, one letter each.
var matrixGrants = map[byte]Grant{
	'I': {Role: RoleIssuer, ID: "ercot"},
	'J': {Role: RoleScheduler, ID: "slurm"},
	'W': {Role: RoleWorker, ID: "rig-17", Site: "demo"},
	'S': {Role: RoleSource, ID: "meters", Site: "demo", Sources: []string{"feeder-a", "feeder-b"}},
	'V': {Role: RoleViewer, ID: "wall"},
	'O': {Role: RoleOperator, ID: "anna"},
	'D': {Role: RoleDispatcher, ID: "host-1"},
	'G': {Role: RoleGateway, ID: "gw-1"},
	'C': {Role: RoleOutlet, ID: "pdu-7", Site: "demo"},
}

// mayPublish: which roles may publish what. Every other cell is a refusal.
var mayPublish = map[string]string{
	"ballast.demo.grid.signal.ercot":    "I",
	"ballast.tx1.grid.signal.ercot":     "I",
	"ballast.demo.grid.signal.caiso":    "",
	"ballast.demo.grid.signal.operator": "O",
	"ballast.demo.ai.job.slurm":         "J",
	"ballast.tx1.ai.job.slurm":          "J",
	"ballast.demo.ai.job.kueue":         "",
	"ballast.demo.ai.job.operator":      "O",
	"ballast.demo.journal.ai.job.slurm": "D",
	"ballast.demo.site.config.site":     "O",
	"ballast.demo.site.config.other":    "",

	"ballast.demo.meter.reading.feeder-a": "S",
	"ballast.demo.meter.reading.feeder-b": "S",
	"ballast.demo.meter.reading.feeder-c": "",
	"ballast.demo.meter.reading.meters":   "",
	"ballast.tx1.meter.reading.feeder-a":  "",
	"ballast.demo.market.quote.feeder-a":  "S",
	"ballast.demo.market.quote.operator":  "O",
	"ballast.demo.market.quote.gw-1":      "G",
	"ballast.demo.market.quote.gw-2":      "",

	"ballast.demo.worker.status.rig-17":  "W",
	"ballast.demo.worker.status.rig-18":  "",
	"ballast.tx1.worker.status.rig-17":   "",
	"ballast.demo.share.found.rig-17":    "W",
	"ballast.demo.share.found.rig-18":    "",
	"ballast.demo.work.assigned.rig-17":  "G",
	"ballast.demo.share.accepted.gw-1":   "G",
	"ballast.demo.share.rejected.gw-1":   "G",
	"ballast.demo.share.unknown.gw-1":    "G",
	"ballast.demo.share.accepted.gw-2":   "",
	"ballast.demo.share.accepted.rig-17": "",
	"ballast.demo.share.found.gw-1":      "G",
	"ballast.demo.share.submitted.gw-1":  "G",
	"ballast.demo.share.submitted.gw-2":  "",
	"ballast.demo.gateway.status.gw-1":   "G",
	"ballast.demo.gateway.status.gw-2":   "",
	"ballast.demo.block.found.gw-1":      "G",
	"ballast.demo.block.matured.gw-1":    "G",
	"ballast.demo.block.orphaned.gw-1":   "G",
	"ballast.demo.block.matured.rig-17":  "",
	"ballast.demo.pool.statement.pool-a": "OG",
	"ballast.demo.alert.raised.gw-1":     "DG",
	"ballast.demo.alert.raised.gw-2":     "D",

	"ballast.demo.clock.tick.host-1":                 "D",
	"ballast.demo.journal.opened.site":               "D",
	"ballast.demo.journal.grid.signal.ercot":         "D",
	"ballast.demo.journal.share.accepted.gw-1":       "D",
	"ballast.demo.decider.activated.dispatch":        "OD",
	"ballast.demo.decider.checkpoint.dispatch":       "D",
	"ballast.demo.command.curtail.rig-17":            "D",
	"ballast.demo.command.ramp.rig-17":               "D",
	"ballast.demo.command.broadcast":                 "D",
	"ballast.demo.permit.renewed.rig-17":             "D",
	"ballast.demo.dispatch.decided.site":             "D",
	"ballast.demo.headroom.published.site":           "D",
	"ballast.demo.curtailment.metered.dispatch":      "D",
	"ballast.demo.unit.escalated.dispatch":           "D",
	"ballast.demo.command.outlet.pdu-7":              "D",
	"ballast.demo.stored.command.outlet.pdu-7":       "",
	"ballast.demo.outlet.status.pdu-7":               "C",
	"ballast.demo.outlet.status.pdu-8":               "",
	"ballast.tx1.outlet.status.pdu-7":                "",
	"ballast.demo.outlet.requested.operator":         "O",
	"ballast.demo.outlet.requested.anna":             "",
	"ballast.demo.journal.outlet.requested.operator": "D",
	"ballast.demo.energy.settled.site":               "D",
	"ballast.demo.revenue.accrued.site":              "D",
	"ballast.demo.revenue.settled.site":              "D",
	"ballast.demo.revenue.reconciled.site":           "D",
	"ballast.demo.curtailment.settled.site":          "D",
	"ballast.demo.programme.performed.site":          "D",
	"ballast.demo.alert.raised.dispatch":             "D",
	"ballast.demo.alert.cleared.dispatch":            "D",
	"ballast.demo.deadletter.dispatch":               "DG",
	"ballast.demo.stored.command.ramp.rig-17":        "",
	"ballast.demo.stored.command.broadcast":          "",
	"ballast-replay.demo.meter.reading.feeder-a":     "O",

	"$JS.API.INFO":                                "ODG",
	"$JS.API.CONSUMER.DELETE.SHARES.x":            "ODG",
	"$JS.API.CONSUMER.NAMES.SHARES":               "ODG",
	"$JS.API.STREAM.INFO.JOURNAL":                 "ODG",
	"$JS.ballast.API.STREAM.INFO.JOURNAL":         "V",
	"$JS.API.STREAM.MSG.GET.JOURNAL":              "ODG",
	"$JS.ballast.API.STREAM.MSG.GET.JOURNAL":      "V",
	"$JS.API.DIRECT.GET.INPUTS":                   "ODG",
	"$JS.ballast.API.DIRECT.GET.INPUTS":           "V",
	"$JS.API.CONSUMER.CREATE.JOURNAL.x":           "ODG",
	"$JS.ballast.API.CONSUMER.CREATE.JOURNAL.x":   "V",
	"$JS.API.CONSUMER.MSG.NEXT.JOURNAL.x":         "ODG",
	"$JS.ballast.API.CONSUMER.MSG.NEXT.JOURNAL.x": "V",
	"$JS.API.CONSUMER.DURABLE.CREATE.SHARES.x":    "DG",
	"$JS.ACK.SHARES.x.1.1.1.1.1":                  "ODG",
	"$JS.API.STREAM.CREATE.INPUTS":                "D",
	"$JS.API.STREAM.UPDATE.INPUTS":                "D",
	"$JS.API.STREAM.PURGE.JOURNAL":                "D",
	"$JS.API.STREAM.PURGE.COMMANDS":               "",
	"$JS.API.STREAM.PURGE.REVENUE":                "",
	"$JS.API.STREAM.DELETE.INPUTS":                "",
	"$JS.API.STREAM.DELETE.JOURNAL":               "",
	"$JS.API.STREAM.MSG.DELETE.INPUTS":            "",
	"$O.SNAPSHOTS.C.x":                            "D",
	"$KV.SLICES.demo.pool.a511026b":               "G",
	"$SYS.REQ.SERVER.PING":                        "",
	"_INBOX_somebody.x":                           "",
	"anything":                                    "",
}

// mayHear: which roles may subscribe what.
var mayHear = map[string]string{
	"ballast.demo.command.curtail.rig-17":        "WVODG",
	"ballast.demo.command.curtail.rig-18":        "VODG",
	"ballast.demo.command.curtail.*":             "VODG",
	"ballast.demo.command.broadcast":             "WVODG",
	"ballast.tx1.command.broadcast":              "VODG",
	"ballast.*.command.broadcast":                "VODG",
	"ballast.demo.command.ramp.rig-17":           "VODG",
	"ballast.demo.stored.command.ramp.rig-17":    "WVODG",
	"ballast.demo.stored.command.ramp.rig-18":    "VODG",
	"ballast.demo.stored.command.curtail.rig-17": "WVODG",
	"ballast.demo.stored.command.broadcast":      "WVODG",
	"ballast.demo.stored.>":                      "VODG",
	"ballast.demo.permit.renewed.rig-17":         "WVODG",
	"ballast.demo.permit.renewed.rig-18":         "VODG",
	"ballast.demo.command.outlet.pdu-7":          "VODGC",
	"ballast.demo.command.outlet.pdu-8":          "VODG",
	"ballast.tx1.command.outlet.pdu-7":           "VODG",
	"ballast.demo.stored.command.outlet.pdu-7":   "VODGC",
	"ballast.demo.stored.command.outlet.*":       "VODG",
	"ballast.demo.outlet.status.pdu-7":           "VODG",
	"ballast.demo.outlet.requested.operator":     "VODG",
	"ballast.demo.work.assigned.rig-17":          "WVODG",
	"ballast.demo.work.assigned.rig-18":          "VODG",
	"ballast.demo.worker.status.rig-17":          "VODG",
	"ballast.demo.meter.reading.feeder-a":        "VODG",
	"ballast.demo.grid.signal.ercot":             "VODG",
	"ballast.demo.revenue.settled.site":          "VODG",
	"ballast.demo.>":                             "VODG",
	"ballast.>":                                  "VODG",
	"ballast-replay.>":                           "VODG",
	"$O.SNAPSHOTS.>":                             "D",
	"$KV.SLICES.>":                               "",
	"$JS.API.>":                                  "",
	"$SYS.>":                                     "",
	"_INBOX.>":                                   "VO",
	"_INBOX_somebody.>":                          "",
	"*.>":                                        "",
	">":                                          "",
}

func TestPermissionMatrix(t *testing.T) {
	b := secured(t)
	for letter, g := range matrixGrants {
		t.Run(string(g.Role), func(t *testing.T) {
			w := joined(t, b, g)
			refused := func(verb, subject string) bool {
				if err := w.nc.Flush(); err != nil {
					t.Fatal(err)
				}
				err := w.nc.LastError()
				return err != nil && strings.Contains(err.Error(), `"`+subject+`"`) && strings.Contains(err.Error(), verb)
			}
			for subject, roles := range mayPublish {
				if err := w.nc.Publish(subject, nil); err != nil {
					t.Fatal(err)
				}
				if got, want := !refused("Publish", subject), strings.IndexByte(roles, letter) >= 0; got != want {
					t.Errorf("publish %s: allowed %v, want %v", subject, got, want)
				}
			}
			heard := map[string]string{w.nc.NewInbox(): string(letter)}
			for s, r := range mayHear {
				heard[s] = r
			}
			for subject, roles := range heard {
				// A queue group must not get around the lists.
				for _, queue := range []string{"", "q"} {
					sub, err := w.nc.QueueSubscribe(subject, queue, func(*nats.Msg) {})
					if queue == "" {
						sub, err = w.nc.Subscribe(subject, func(*nats.Msg) {})
					}
					if err != nil {
						t.Fatal(err)
					}
					if got, want := !refused("Subscription", subject), strings.IndexByte(roles, letter) >= 0; got != want {
						t.Errorf("subscribe %s (queue %q): allowed %v, want %v", subject, queue, got, want)
					}
					_ = sub.Unsubscribe() // gone already when it was refused
				}
			}
		})
	}
}

// What Permissions says is what the server does.
func TestPermissionsAgreeWithTheMatrix(t *testing.T) {
	for letter, g := range matrixGrants {
		pub, sub, all, err := Permissions("ballast", "UKEY", g)
		if err != nil || all {
			t.Fatal(all, err)
		}
		for _, side := range []struct {
			allowed []string
			cells   map[string]string
		}{{pub, mayPublish}, {sub, mayHear}} {
			for subject, roles := range side.cells {
				got := slices.ContainsFunc(side.allowed, func(f string) bool { return covers(f, subject) })
				if want := strings.IndexByte(roles, letter) >= 0; got != want {
					t.Errorf("%s, %s: %v, want %v", g.Role, subject, got, want)
				}
			}
		}
	}
	if _, _, all, err := Permissions("ballast", "UKEY", Grant{Role: RoleInternal, ID: "x"}); err != nil || !all {
		t.Error("internal is limited", err)
	}
	if _, _, _, err := Permissions("ballast", "UKEY", Grant{Role: "king", ID: "x"}); err == nil {
		t.Error("an unknown role has permissions")
	}
}

// covers reports whether every subject that s matches is matched by filter.
func covers(filter, s string) bool {
	f, g := strings.Split(filter, "."), strings.Split(s, ".")
	for i, tok := range f {
		if tok == ">" {
			return len(g) > i
		}
		if i >= len(g) || g[i] == ">" || tok != "*" && tok != g[i] {
			return false
		}
	}
	return len(f) == len(g)
}

// The matrix above is only complete if it has a cell for every type.
func TestPermissionMatrixKnowsEveryType(t *testing.T) {
	for _, info := range events.Types() {
		found := false
		for subject := range mayPublish {
			a, err := events.ParseSubject(subject)
			found = found || err == nil && a.Type == info.Type && !a.Relayed && !a.Stored
		}
		if !found {
			t.Errorf("mayPublish says nothing about %s", info.Type)
		}
	}
	if len(matrixGrants) != len(Roles()) {
		t.Errorf("%d grants in the matrix, %d roles", len(matrixGrants), len(Roles()))
	}
}

func TestWorkerPublishesAndObeys(t *testing.T) {
	ctx := testContext(t)
	b := secured(t)
	w := joined(t, b, matrixGrants['W'])
	if id := w.Identity(); id.Role != RoleWorker || id.ID != "rig-17" || id.Site != "demo" {
		t.Fatalf("identity %+v", id)
	}
	for _, subject := range []string{"ballast.demo.worker.status.rig-17", "ballast.demo.share.found.rig-17"} {
		if _, err := w.js.Publish(ctx, subject, []byte("{}")); err != nil {
			t.Errorf("publish %s with acknowledgement: %v", subject, err)
		}
	}
	sub, err := w.nc.SubscribeSync("ballast.demo.stored.command.ramp.rig-17")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.js.Publish(ctx, "ballast.demo.command.ramp.rig-17", []byte("up")); err != nil {
		t.Fatal(err)
	}
	m, err := sub.NextMsg(patience)
	if err != nil || string(m.Data) != "up" {
		t.Fatalf("stored ramp: %v, %v", m, err)
	}
}

// Each user hears its own replies only, whatever role.
func TestInboxesAreApart(t *testing.T) {
	b := secured(t)
	one := joined(t, b, Grant{Role: RoleOperator, ID: "anna"})
	other := joined(t, b, Grant{Role: RoleOperator, ID: "anna"})
	inbox := one.nc.NewInbox()
	if _, err := other.nc.Subscribe(inbox, func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	if err := other.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := other.nc.LastError(); err == nil || !strings.Contains(err.Error(), inbox) {
		t.Errorf("hearing another's inbox: %v", err)
	}
}

func TestReadersRead(t *testing.T) {
	ctx := testContext(t)
	b := secured(t)
	reading := &events.MeterReading{PowerWatts: 41_200_000, SampledAt: time.Now(), Quality: events.QualityGood}
	if err := b.Publish(ctx, events.New("demo", "feeder-a", reading)); err != nil {
		t.Fatal(err)
	}
	for _, letter := range []byte("VODG") {
		r := joined(t, b, matrixGrants[letter])
		cons, err := r.js.OrderedConsumer(ctx, events.StreamJournal, jetstream.OrderedConsumerConfig{})
		if err != nil {
			t.Fatal(err)
		}
		m, err := cons.Next(jetstream.FetchMaxWait(patience))
		if err != nil || m.Subject() != "ballast.demo.meter.reading.feeder-a" {
			t.Errorf("%s: %v, %v", matrixGrants[letter].Role, m, err)
		}
		n := 0
		for ev, err := range events.Read[events.MeterReading](ctx, r) {
			if err != nil || ev.Data.PowerWatts != reading.PowerWatts {
				t.Errorf("%s: %+v, %v", matrixGrants[letter].Role, ev, err)
			}
			n++
		}
		if n != 1 {
			t.Errorf("%s: read %d readings, want 1", matrixGrants[letter].Role, n)
		}
		if drift, err := r.CheckStreams(ctx); err != nil || len(drift) > 0 {
			t.Errorf("%s: drift %v, %v", matrixGrants[letter].Role, drift, err)
		}
	}
	d := joined(t, b, matrixGrants['D'])
	if err := d.EnsureStreams(ctx); err != nil {
		t.Errorf("dispatcher declares streams: %v", err)
	}
	store, err := d.SnapshotStore(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.PutBytes(ctx, "demo/dispatch/1-ab", []byte("state")); err != nil {
		t.Errorf("dispatcher stores a snapshot: %v", err)
	}
	if got, err := store.GetBytes(ctx, "demo/dispatch/1-ab"); err != nil || string(got) != "state" {
		t.Errorf("dispatcher reads a snapshot: %q, %v", got, err)
	}
	if err := store.Delete(ctx, "demo/dispatch/1-ab"); err != nil {
		t.Errorf("dispatcher deletes a snapshot: %v", err)
	}
	if _, err := d.OpenEpoch(ctx, "demo", "host-1", "test", 0); err != nil {
		t.Errorf("dispatcher opens an epoch: %v", err)
	}
}
