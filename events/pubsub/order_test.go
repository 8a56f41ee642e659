// SPDX-License-Identifier: Apache-2.0

package pubsub_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-energy/ballast/events/pubsub"
)

// TestOrder sends messages of many keys through a router whose handler takes
// random time and fails at random: none is lost, none of a key is overtaken,
// no two of a key are handled at once.
func TestOrder(t *testing.T) {
	const n, keys = 4000, 48
	for name, c := range map[string]struct {
		cfg  pubsub.SubscriberConfig
		keys uint64
	}{
		"ordered": {pubsub.SubscriberConfig{Mode: pubsub.Ordered}, 1},
		"keyed":   {pubsub.SubscriberConfig{Mode: pubsub.Keyed, Lanes: 32}, keys},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			b := connect(t, s)
			stream(t, b, "O", "o.*")
			reg := prometheus.NewRegistry()
			cfg := c.cfg
			cfg.Group, cfg.Registerer = "order", reg
			cfg.Retry = func(attempt uint64) (time.Duration, bool) {
				return time.Duration(rand.IntN(500)) * time.Microsecond, true
			}
			sub, err := pubsub.NewSubscriber(b, cfg)
			if err != nil {
				t.Fatal(err)
			}
			pub := pubsub.NewPublisher(b, pubsub.PublisherConfig{})
			var seq [keys]uint64
			for i := range n {
				k := uint64(rand.IntN(keys))
				seq[k]++
				body := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, k), seq[k])
				body = binary.LittleEndian.AppendUint64(body, uint64(i))
				if _, err := pub.PublishAsync(fmt.Sprintf("o.k%d", k), message.NewMessage("", body)); err != nil {
					t.Fatal(err)
				}
			}
			var mu sync.Mutex
			last, busy := map[uint64]uint64{}, map[uint64]bool{}
			handled, violations, overlaps := 0, 0, 0
			done := make(chan struct{})
			handle := func(m *message.Message) error {
				k, q, i := binary.LittleEndian.Uint64(m.Payload), binary.LittleEndian.Uint64(m.Payload[8:]), binary.LittleEndian.Uint64(m.Payload[16:])
				if c.keys == 1 {
					k, q = 0, i+1 // one order over all
				}
				mu.Lock()
				if busy[k] {
					overlaps++
				}
				busy[k] = true
				mu.Unlock()
				time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
				mu.Lock()
				defer mu.Unlock()
				busy[k] = false
				if rand.Float64() < .05 {
					return errors.New("transient")
				}
				if q != last[k]+1 {
					violations++
				}
				last[k] = q
				if handled++; handled == n {
					close(done)
				}
				return nil
			}
			r, err := message.NewRouter(message.RouterConfig{CloseTimeout: 60 * time.Second}, watermill.NopLogger{})
			if err != nil {
				t.Fatal(err)
			}
			r.AddConsumerHandler("h", "o.*", sub, handle)
			ended := make(chan error, 1)
			go func() { ended <- r.Run(deadline(t)) }()
			select {
			case <-done:
			case <-time.After(3 * time.Minute):
				mu.Lock()
				t.Errorf("handled %d of %d", handled, n)
				mu.Unlock()
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if violations > 0 || overlaps > 0 {
				t.Errorf("%d order violations, %d overlaps", violations, overlaps)
			}
			if fams, err := reg.Gather(); err != nil || len(fams) != 4 {
				t.Errorf("metrics: %d families, %v", len(fams), err)
			}
		})
	}
}
