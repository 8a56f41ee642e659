// SPDX-License-Identifier: Apache-2.0

package pubsub

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events/internal/pull"
)

const (
	// apiWait bounds one request to the JetStream API.
	apiWait = 5 * time.Second
	// silentTicks of the heartbeat without a sign of the server mean that it
	// has forgotten the request.
	silentTicks = int(pull.Silence/pull.Heartbeat) + 1
	// stallAfter is when pending messages that do not come count as a stall.
	stallAfter = 2 * time.Second
)

// Answers of the acknowledgement protocol.
var (
	ackBody      = []byte("+ACK")
	nakBody      = []byte("-NAK")
	termBody     = []byte("+TERM")
	progressBody = []byte("+WPI")
)

// subscription is one topic being delivered.
//
// One goroutine pulls and never blocks. In Ordered and Keyed mode it hands each
// message to a lane, a goroutine that delivers it, waits for the answer and
// passes that on before it takes the next; in Unordered mode it delivers by
// itself and another goroutine collects the answers. One more tells the server
// what is in progress.
type subscription struct {
	s      *Subscriber
	topic  string
	stream string
	config jetstream.ConsumerConfig
	values context.Context
	out    chan *message.Message
	counts counts

	loop     *pull.Loop
	last     uint64 // newest sequence delivered
	pending  uint64 // behind it
	lastSeen time.Time
	back     chan nats.Status // the connection is back
	quiet    int              // heartbeats' times without a sign of the server

	held   registry
	ready  []*held       // in Unordered mode: to be delivered
	seed   maphash.Seed  // of keys
	hungry atomic.Bool   // the puller waits for room
	wake   chan struct{} // there is room

	once     sync.Once
	stopping chan struct{} // deliver nothing more
	kill     chan struct{} // wait for nothing more
}

// stop begins the end.
func (x *subscription) stop() {
	x.once.Do(func() { close(x.stopping) })
}

// attach finds or creates the consumer and prepares to pull from it.
func (x *subscription) attach(ctx context.Context) error {
	js := x.s.b.JetStream()
	name := x.config.Durable
	cfg := x.config
	if name == "" {
		name = cfg.Name
		if x.last > 0 {
			if _, err := js.Consumer(ctx, x.stream, name); errors.Is(err, jetstream.ErrConsumerNotFound) {
				// Forgotten by the server: go on where it was.
				cfg.DeliverPolicy, cfg.OptStartSeq, cfg.OptStartTime = jetstream.DeliverByStartSequencePolicy, x.last+1, nil
				x.config = cfg
			}
		}
	}
	if _, err := js.CreateOrUpdateConsumer(ctx, x.stream, cfg); err != nil {
		return fmt.Errorf("subscribe to %s: consumer %s of %s: %w", x.topic, name, x.stream, err)
	}
	loop, err := pull.New(x.s.b.Conn(), pull.API(js), x.stream, name, x.s.cfg.Window)
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", x.topic, err)
	}
	x.loop, x.lastSeen = loop, time.Now()
	return nil
}

// run delivers until stopped and everything is answered or given up.
func (x *subscription) run() {
	var workers sync.WaitGroup
	in := x.workers(&workers)
	quiet := make(chan struct{})
	var beats sync.WaitGroup
	beats.Go(func() { x.progress(quiet) })
	x.pull(in)
	timeout := time.AfterFunc(x.s.cfg.CloseTimeout, func() { close(x.kill) })
	x.loop.Drain(min(x.s.cfg.CloseTimeout, apiWait))
	x.rest(in)
	// Back in the order of their sequence, behind what the lanes give back.
	for _, h := range x.ready {
		x.giveBack(h)
	}
	x.ready = nil
	for _, c := range in {
		close(c)
	}
	workers.Wait()
	timeout.Stop()
	close(quiet)
	beats.Wait()
	x.counts.held.Set(0)
	x.counts.stalled.Set(0)
	close(x.out)
}

// workers starts what answers: the lanes of Ordered and Keyed mode, or the
// collector of Unordered mode. Each channel has room for everything that is
// asked for, so the puller hardly ever waits for them.
func (x *subscription) workers(wg *sync.WaitGroup) []chan *held {
	in := make([]chan *held, x.s.cfg.Lanes)
	if x.s.cfg.Mode == Unordered {
		in = in[:1]
	}
	for i := range in {
		in[i] = make(chan *held, x.s.cfg.Window)
		wg.Go(func() {
			if x.s.cfg.Mode == Unordered {
				x.collect(in[i])
				return
			}
			for h := range in[i] {
				x.inPlace(h)
			}
		})
	}
	return in
}

// pull takes messages from the server until stopped.
func (x *subscription) pull(in []chan *held) {
	ticker := time.NewTicker(pull.Heartbeat)
	defer ticker.Stop()
	x.back = x.s.b.Conn().StatusChanged(nats.CONNECTED)
	defer x.s.b.Conn().RemoveStatusListener(x.back)
	for {
		select {
		case <-x.stopping:
			return
		default:
		}
		x.ask()
		// In Unordered mode the oldest message that is ready goes out from
		// here, while others are taken in.
		var out chan<- *message.Message
		var m *message.Message
		if len(x.ready) > 0 {
			out, m = x.out, x.ready[0].m
		}
		var got *nats.Msg
		select {
		case got = <-x.loop.C():
		case out <- m:
			x.sent(in[0])
			continue
		default:
			select {
			case got = <-x.loop.C():
			case out <- m:
				x.sent(in[0])
				continue
			case <-x.wake:
				continue
			case <-x.back:
				x.loop.Forget() // what was asked for before is forgotten
				continue
			case <-ticker.C:
				if x.silence() {
					x.reattach(in)
				}
				continue
			case <-x.stopping:
				return
			}
		}
		x.quiet = 0
		if x.take(got, in) == pull.Lost {
			x.reattach(in)
		}
	}
}

// sent moves the oldest ready message, which a handler has now, to the
// collector. If that is full when the subscription ends, the message is let go
// and delivered again after AckWait.
func (x *subscription) sent(collector chan<- *held) {
	h := x.ready[0]
	x.ready = x.ready[1:]
	select {
	case collector <- h:
		return
	default:
	}
	select {
	case collector <- h:
	case <-x.stopping:
		x.release(h)
	}
}

// take handles one message or status of the server.
func (x *subscription) take(m *nats.Msg, in []chan *held) pull.Verdict {
	place, verdict := x.loop.Take(m)
	if verdict != pull.Message {
		x.watch()
		return verdict
	}
	x.last, x.pending = max(x.last, place.Sequence), place.Pending
	h := &held{parent: x.values, msg: m, place: place, stream: x.stream}
	now := time.Now()
	if now.Sub(x.lastSeen) > stallAfter {
		x.counts.stalled.Set(0)
	}
	x.lastSeen = now
	x.held.add(h, now)
	x.counts.held.Inc()
	switch {
	case x.s.cfg.Mode == Unordered:
		h.message()
		x.ready = append(x.ready, h)
	case len(in) == 1:
		x.hand(in[0], h)
	default:
		x.hand(in[maphash.String(x.seed, x.s.cfg.Key(m))%uint64(len(in))], h)
	}
	return verdict
}

// hand gives a message to its lane. A lane has room for everything that was
// asked for; but the server may still answer a request that was given up for
// lost, and a lane that is full must not hold up the end: what does not fit
// then goes back to the server.
func (x *subscription) hand(lane chan<- *held, h *held) {
	select {
	case lane <- h:
		return
	default:
	}
	select {
	case lane <- h:
	case <-x.stopping:
		x.giveBack(h)
	}
}

// rest takes what has already come.
func (x *subscription) rest(in []chan *held) {
	for {
		select {
		case m := <-x.loop.C():
			x.take(m, in)
		default:
			return
		}
	}
}

// ask keeps the server supplied with requests, as far as there is room.
func (x *subscription) ask() {
	window := x.s.cfg.Window
	low := window / 4
	if x.loop.Owed() > low {
		return
	}
	free := window - x.held.len() - x.loop.Owed()
	if free < max(low, 1) {
		x.hungry.Store(true)
		// An answer may have come before the flag was up.
		if free = window - x.held.len() - x.loop.Owed(); free < max(low, 1) {
			return
		}
		x.hungry.Store(false)
	}
	if err := x.loop.Ask(free); err != nil {
		x.s.cfg.Logger.Error("Cannot ask for messages", err, watermill.LogFields{"topic": x.topic})
	}
}

// silence is called for every heartbeat's time without a sign of the server.
// True means that asking again did not help either.
func (x *subscription) silence() bool {
	x.watch()
	if x.loop.Owed() == 0 {
		return false // nothing was asked for: all room is taken
	}
	x.quiet++
	if x.quiet == silentTicks {
		x.loop.Forget() // the request is lost: ask again
	}
	return x.quiet >= 2*silentTicks
}

// watch raises the alarm when messages wait and do not come.
func (x *subscription) watch() {
	if x.pending == 0 || x.held.len() > 0 || time.Since(x.lastSeen) < stallAfter {
		return
	}
	x.pending = 0 // once
	x.counts.stalled.Set(1)
	x.counts.stalls.Inc()
	x.s.cfg.Logger.Error("Messages are pending and none has come for 2 s", nil, watermill.LogFields{"topic": x.topic, "stream": x.stream})
}

// reattach finds the consumer again, however long that takes.
func (x *subscription) reattach(in []chan *held) {
	x.loop.Stop()
	x.quiet = 0
	x.rest(in) // what has come is not lost
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-x.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	bo := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
	err := backoff.RetryNotify(func() error {
		actx, done := context.WithTimeout(ctx, apiWait)
		defer done()
		// What is asked of a server that goes down is never answered: ask the
		// next one as soon as it is there.
		go func() {
			select {
			case <-x.back:
				done()
			case <-actx.Done():
			}
		}()
		return x.attach(actx)
	}, backoff.WithContext(bo, ctx), func(err error, d time.Duration) {
		x.s.cfg.Logger.Error("Subscription lost, trying again", err, watermill.LogFields{"topic": x.topic, "in": d.String()})
	})
	if err != nil && ctx.Err() == nil {
		x.s.cfg.Logger.Error("Subscription lost", err, watermill.LogFields{"topic": x.topic})
	}
}

// progress tells the server that held messages are not forgotten.
func (x *subscription) progress(quiet <-chan struct{}) {
	every := x.s.cfg.AckWait / 3
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-quiet:
			return
		case now := <-t.C:
			for _, reply := range x.held.silent(now, every/2) {
				x.say(reply, progressBody)
			}
		}
	}
}

func (x *subscription) say(reply string, body []byte) {
	if err := x.s.b.Conn().Publish(reply, body); err != nil {
		x.s.cfg.Logger.Error("Cannot answer", err, watermill.LogFields{"topic": x.topic, "answer": string(body)})
	}
}

// release ends a held message and makes room.
func (x *subscription) release(h *held) {
	h.end()
	left := x.held.remove(h)
	x.counts.held.Dec()
	if x.hungry.Load() && left <= x.s.cfg.Window/2 && x.hungry.CompareAndSwap(true, false) {
		select {
		case x.wake <- struct{}{}:
		default:
		}
	}
}

// ack passes on a positive answer.
func (x *subscription) ack(h *held) {
	x.counts.ack.Inc()
	if !x.s.cfg.DoubleAck {
		x.say(h.msg.Reply, ackBody)
		x.release(h)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), apiWait)
	_, err := x.s.b.Conn().RequestWithContext(ctx, h.msg.Reply, ackBody)
	cancel()
	if err != nil {
		x.s.cfg.Logger.Error("Acknowledgement not confirmed; the message may come again", err, watermill.LogFields{"topic": x.topic})
	}
	x.release(h)
}

// giveBack returns a message unhandled: the server may deliver it at once.
func (x *subscription) giveBack(h *held) {
	x.counts.back.Inc()
	x.say(h.msg.Reply, nakBody)
	x.release(h)
}

// term gives a message up.
func (x *subscription) term(h *held) {
	x.counts.term.Inc()
	x.say(h.msg.Reply, termBody)
	x.s.cfg.Logger.Error("Message given up after its last attempt", nil,
		watermill.LogFields{"topic": x.topic, "stream": x.stream, "sequence": h.place.Sequence, "attempts": h.attempt()})
	x.release(h)
}

// nakAfter gives a failed message back to the server, to be delivered again
// after the delay.
func (x *subscription) nakAfter(h *held, d time.Duration) {
	body := nakBody
	if d > 0 {
		body = append(strconv.AppendInt([]byte(`-NAK {"delay":`), int64(d), 10), '}')
	}
	x.counts.nack.Inc()
	x.say(h.msg.Reply, body)
	x.release(h)
}
