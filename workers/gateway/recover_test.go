// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/judge"
)

// early is a bus whose reader has read past the place where verdicts are stored
// a moment later.
type early struct{ Bus }

func (e early) Events(ctx context.Context, r events.ReadRequest) iter.Seq2[*events.Event, error] {
	return func(yield func(*events.Event, error) bool) {
		for ev, err := range e.Bus.Events(ctx, r) {
			if err == nil && ev.Type == events.TypeShareAccepted {
				continue
			}
			if !yield(ev, err) {
				return
			}
		}
	}
}

// A verdict that is stored while the gateway reads what is stored is not
// forgotten by that: the share would be counted, and judged, again.
func TestAVerdictStoredWhileReadingIsKnown(t *testing.T) {
	k := newDesk(t)
	ctx, cancel := context.WithCancel(context.Background())
	renewing := make(chan struct{})
	defer func() { cancel(); <-renewing }()
	g := k.g
	g.bus = early{k.b}
	if err := g.lease.acquire(ctx, false); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(renewing)
		g.lease.run(ctx, func(err error) { t.Error(err) })
	}()
	hash := hashengine.DoubleSHA256([]byte("share"))
	id, now := hash.String(), time.Now().UTC()
	found := events.New("demo", "gw-1", &events.ShareFound{
		ShareID: id, JobID: g.instance + "-d-1", Gateway: "gw-1", Unit: "miner-1", Version: "20000000", NTime: now.Unix(), Nonce: "00000001",
		Extranonce: "0011", Difficulty: "1", FoundAt: now,
	}).WithID(id)
	verdict := events.New("demo", "gw-1", &events.ShareAccepted{
		ShareID: id, JobID: g.instance + "-d-1", Agent: "gw-1", Unit: "miner-1", Difficulty: "1", JudgedAt: now, Local: true,
		Payout: events.Payout{Pool: "pool-1", NBits: "17034219", RewardSats: 1, Scheme: events.SchemeFPPS, Basis: events.BasisLive},
	}).WithID(id + verdictSuffix)
	if err := k.b.Publish(ctx, found, verdict); err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	g.seen.Put(id, judge.Sighting{Judged: true}) // its place in SHARES is not known yet
	g.mu.Unlock()
	if err := g.recover(ctx, 0); err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	first, _ := g.seen.Get(id)
	g.mu.Unlock()
	if !first.Judged || first.Sequence != 1 {
		t.Errorf("%+v", first)
	}
	if n, st := g.inFlight(), g.Stats(); n != 0 || st.Found != 0 {
		t.Errorf("%d under way again, %+v", n, st)
	}
}
