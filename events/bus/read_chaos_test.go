// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
)

// While a writer publishes, the reader's connection breaks, its consumers
// vanish and the server restarts, again and again: the follower sees every
// sequence once, in order.
func TestFollowNeverSkipsNorRepeats(t *testing.T) {
	b := newRig(t)
	ctx, cancel := context.WithCancel(deadline(t))
	defer cancel()
	nc, err := nats.Connect(b.srv.ClientURL(), nats.Timeout(patience), nats.MaxReconnects(-1), nats.ReconnectWait(5*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	reader := &rig{Bus: &Bus{nc: nc, js: js, prefix: b.prefix}, srv: b.srv}
	seen, end := reader.follower(t, ctx, events.ReadRequest{Stream: events.StreamJournal, Follow: true})

	// write publishes until n more are stored, whatever stands in the way.
	next := 0
	write := func(n int) {
		for range n {
			e := reading(next).WithID(fmt.Sprint("r-", next))
			for b.Publish(ctx, e) != nil && ctx.Err() == nil {
				_ = b.nc.FlushTimeout(time.Second) // waits for the server, if it can
			}
			next++
		}
	}
	for round := range uint64(12) {
		write(50)
		if round == 0 {
			// Reading has begun: what cannot begin is an error of its own.
			expect(t, seen, end, 1, 50)
		}
		switch round % 4 {
		case 0, 2:
			if err := nc.ForceReconnect(); err != nil {
				t.Fatal(err)
			}
		case 1:
			b.killReaders(t)
		case 3:
			b.srv.Shutdown()
			b.srv.WaitForShutdown()
			b.start(t)
		}
		write(50)
		from := round*100 + 1
		if round == 0 {
			from = 51
		}
		expect(t, seen, end, from, round*100+100)
	}
	cancel()
	if err := <-end; err != nil {
		t.Fatal(err)
	}
}
